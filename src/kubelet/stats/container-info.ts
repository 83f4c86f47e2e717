/**
 * The endpoints of Kubernetes 1.0 for collectors of its time (Heapster): `/stats/…` and `/spec/`, in the shapes of cadvisor's API v1. Behind
 * `--enable-cadvisor-json-endpoints`, as releases before 1.21 had them. Nothing is kept between two requests, so there is one sample of each group,
 * however many are asked for.
 */
import { cpus } from "node:os";
import { posix } from "node:path";
import { formatTime } from "#machinery";
import { type Exchange, sendJson, sendText } from "../server/exchange.ts";
import type { KubeletHost } from "../host.ts";
import type { GroupDetail } from "./group-detail.ts";
import { type CadvisorOptions, type GroupView, readGroups } from "./group-views.ts";
import { readDiskNames, readFileSystems, readProcessors } from "./machine-detail.ts";
import { readInterfaces } from "./network.ts";
import type { Sampler } from "./sampler.ts";

export interface ContainerInfoOptions extends CadvisorOptions {
  readonly host: KubeletHost;
  readonly sampler: Sampler;
}

interface StatsRequest {
  readonly containerName?: string;
  readonly num_stats?: number;
  readonly start?: string;
  readonly end?: string;
  readonly subcontainers?: boolean;
}

/** Nobody needs more to say which group is meant. */
const bodyBytesMax = 64 * 1024;
const namespaceDefault = "default";
/** Where there is none; the largest that still is a number of 63 bits as JavaScript prints it. */
const noLimit = 2 ** 63 - 2 ** 12;

export async function serveContainerInfo(exchange: Exchange, options: ContainerInfoOptions): Promise<void> {
  const { parts } = exchange;
  const notFound = (why: string) => sendText(exchange, 404, `${why}\n`);
  let query: StatsRequest;
  try {
    query = await readRequest(exchange);
  } catch (error) {
    return sendText(exchange, 500, `Internal Error: ${error instanceof Error ? error.message : error}\n`);
  }
  const views = async () => readGroups(await options.sampler.look(), options);
  const answer = (info: unknown) => sendJson(exchange, info);
  if (parts.length === 1) {
    const all = await views();
    const [whole] = all;
    return answer(whole ? infoOf(whole, all, query) : {});
  }
  if (parts.length === 2) {
    if (parts[1] !== "container") return notFound(`unknown stats request type ${JSON.stringify(parts[1])}`);
    const name = posix.join("/", query.containerName ?? "");
    const all = await views();
    const found = all.filter(
      ({ id }) => id === name || (query.subcontainers && (name === "/" || id.startsWith(`${name}/`))),
    );
    if (!found.some(({ id }) => id === name))
      return sendText(exchange, 500, `Internal Error: unknown container ${JSON.stringify(name)}\n`);
    return answer(Object.fromEntries(found.map((view) => [view.id, infoOf(view, all, query)])));
  }
  if (parts.length !== 3 && parts.length !== 5) return notFound(`Unknown resource: [${parts.join(" ")}]`);
  const [, first = "", second = "", uid = "", last = ""] = parts;
  const [namespace, name, container] = parts.length === 3 ? [namespaceDefault, first, second] : [first, second, last];
  const hosted = options.host.findPod(namespace, name, uid);
  if (!hosted) return notFound("Pod does not exist");
  const all = await views();
  const found = all.find(
    ({ labels }) => labels.namespace === namespace && labels.pod === name && labels.container === container,
  );
  return found ? answer(infoOf(found, all, query)) : notFound("no matching container");
}

async function readRequest({ request }: Exchange): Promise<StatsRequest> {
  let text = "";
  for await (const chunk of request) {
    text += chunk;
    if (text.length > bodyBytesMax) throw new Error("the request's body is too large");
  }
  return text.trim() === "" ? {} : (JSON.parse(text) as StatsRequest); // fields of other types are of no use to who sends them
}

/** cadvisor's ContainerInfo. */
function infoOf(view: GroupView, all: readonly GroupView[], query: StatsRequest) {
  const { id, labels, usage, detail } = view;
  const time = usage.timeMs;
  const isWanted =
    (query.num_stats ?? 60) !== 0 && !(Date.parse(query.start ?? "") > time) && !(Date.parse(query.end ?? "") < time);
  const depth = (path: string) => (path === "/" ? 0 : path.split("/").length - 1);
  const below = all.filter(
    (each) => each.id !== id && posix.dirname(each.id) === id && depth(each.id) === depth(id) + 1,
  );
  return {
    ...(labels.name && { id: labels.name }),
    name: id,
    ...(labels.name && {
      aliases: [
        ...(labels.container ? [`k8s_${labels.container}_${labels.pod}_${labels.namespace}`] : []),
        labels.name,
      ],
      namespace: "containerd",
    }),
    ...(labels.name ? {} : { subcontainers: below.map((each) => ({ name: each.id })) }),
    spec: specOf(view, detail),
    stats: isWanted ? [statsOf(view)] : [],
  };
}

function specOf({ labels, network, disks }: GroupView, { createdMs, cpu, memory }: GroupDetail) {
  return {
    creation_time: formatTime(createdMs),
    ...(labels.container && {
      labels: {
        "io.kubernetes.container.name": labels.container,
        "io.kubernetes.pod.name": labels.pod,
        "io.kubernetes.pod.namespace": labels.namespace,
      },
    }),
    has_cpu: true,
    cpu: {
      limit: cpu.shares,
      max_limit: 0,
      mask: cpu.mask || `0-${cpus().length - 1}`,
      ...(cpu.quotaUs > 0 && { quota: cpu.quotaUs }),
      period: cpu.periodUs,
    },
    has_memory: true,
    memory: {
      limit: Math.min(memory.limitBytes, noLimit),
      reservation: Math.min(memory.reservationBytes, noLimit),
      swap_limit: Math.min(memory.swapLimitBytes, noLimit),
    },
    has_network: network.length > 0,
    has_filesystem: disks.length > 0,
    has_diskio: true,
    has_custom_metrics: false,
    ...(labels.image && { image: labels.image }),
  };
}

function statsOf({ usage, detail, network, disks }: GroupView) {
  const { memory } = usage;
  const nanos = (seconds: number) => Math.round(seconds * 1e9);
  const faults = { pgfault: memory.pageFaults, pgmajfault: memory.majorPageFaults };
  const names = readDiskNames();
  const interfaces = network.map((each) => ({
    name: each.name,
    rx_bytes: each.rxBytes,
    rx_packets: each.rxPackets,
    rx_errors: each.rxErrors,
    rx_dropped: each.rxDropped,
    tx_bytes: each.txBytes,
    tx_packets: each.txPackets,
    tx_errors: each.txErrors,
    tx_dropped: each.txDropped,
  }));
  const io = (which: "bytes" | "operations") =>
    detail.io[which].map(({ major, minor, amounts }) => {
      return { device: names.get(`${major}:${minor}`) ?? "", major, minor, stats: amounts };
    });
  return {
    timestamp: formatTime(usage.timeMs),
    cpu: {
      usage: {
        total: usage.cpuNanoSeconds,
        user: nanos(detail.cpu.userSeconds),
        system: nanos(detail.cpu.systemSeconds),
      },
      cfs: {
        periods: detail.cpu.periods,
        throttled_periods: detail.cpu.throttledPeriods,
        throttled_time: nanos(detail.cpu.throttledSeconds),
      },
      load_average: 0,
    },
    diskio: { io_service_bytes: io("bytes"), io_serviced: io("operations") },
    memory: {
      usage: memory.usageBytes,
      max_usage: detail.memory.maxBytes,
      cache: memory.cacheBytes,
      rss: memory.rssBytes,
      swap: memory.swapBytes,
      mapped_file: memory.mappedBytes,
      working_set: memory.workingSetBytes,
      failcnt: detail.memory.failures,
      container_data: faults,
      hierarchical_data: faults,
    },
    network: { ...interfaces[0], ...(interfaces.length > 0 && { interfaces }) },
    ...(disks.length > 0 && {
      filesystem: disks.map(
        ({ device, type, capacityBytes, freeBytes, availableBytes, inodes, inodesFree, counters }) => ({
          device,
          type: type === "tmpfs" ? type : "vfs",
          capacity: capacityBytes,
          usage: capacityBytes - freeBytes,
          available: availableBytes,
          has_inodes: inodes > 0,
          inodes,
          inodes_free: inodesFree,
          reads_completed: counters?.[0] ?? 0,
          reads_merged: counters?.[1] ?? 0,
          sectors_read: counters?.[2] ?? 0,
          read_time: counters?.[3] ?? 0,
          writes_completed: counters?.[4] ?? 0,
          writes_merged: counters?.[5] ?? 0,
          sectors_written: counters?.[6] ?? 0,
          write_time: counters?.[7] ?? 0,
          io_in_progress: counters?.[8] ?? 0,
          io_time: counters?.[9] ?? 0,
          weighted_io_time: counters?.[10] ?? 0,
        }),
      ),
    }),
    task_stats: { nr_sleeping: 0, nr_running: 0, nr_stopped: 0, nr_uninterruptible: 0, nr_io_wait: 0 },
    processes: {
      process_count: detail.processes.count,
      fd_count: detail.processes.descriptors,
      socket_count: detail.processes.sockets,
      threads_current: detail.processes.threads,
      threads_max: detail.processes.threadsMax,
    },
  };
}

/** cadvisor's MachineInfo. */
export function machineInfo({ machine }: CadvisorOptions) {
  const { cores, physicalCores, sockets } = readProcessors();
  const disks = readFileSystems();
  return {
    timestamp: formatTime(Date.now()),
    num_cores: cores,
    num_physical_cores: physicalCores,
    num_sockets: sockets,
    cpu_frequency_khz: Math.max(0, ...cpus().map(({ speed }) => speed * 1000)),
    memory_capacity: machine.memoryBytes,
    swap_capacity: machine.swapBytes,
    machine_id: machine.machineId,
    system_uuid: machine.systemUuid,
    boot_id: machine.bootId,
    filesystems: disks.map(({ device, major, minor, capacityBytes, type, inodes }) => {
      return {
        device,
        DeviceMajor: major,
        DeviceMinor: minor,
        capacity: capacityBytes,
        type: type === "tmpfs" ? type : "vfs",
        inodes,
        has_inodes: inodes > 0,
      };
    }),
    disk_map: Object.fromEntries(
      [...readDiskNames()].map(([numbers, device]) => {
        const [major = 0, minor = 0] = numbers.split(":").map(Number);
        return [numbers, { name: device.replace("/dev/", ""), major, minor, size: 0, scheduler: "none" }];
      }),
    ),
    network_devices: (readInterfaces("self") ?? []).map(({ name }) => ({ name, mac_address: "", speed: 0, mtu: 0 })),
    topology: null,
    cloud_provider: "Unknown",
    instance_type: "Unknown",
    instance_id: "None",
  };
}
