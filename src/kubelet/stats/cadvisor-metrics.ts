/**
 * `/metrics/cadvisor`: what collectors know from cadvisor, in its names, labels and help texts, as the kubelet shows it: the machine, all pods, each
 * class, each pod, each container and sandbox. Load averages and task states are zeros there too, since nobody switches them on.
 */
import type { MachineFacts } from "../node/machine.ts";
import type { DeviceUse, GroupDetail } from "./group-detail.ts";
import { type CadvisorOptions, type GroupView, readGroups } from "./group-views.ts";
import { type FileSystem, readDiskNames, readProcessors } from "./machine-detail.ts";
import type { InterfacePackets } from "./network.ts";
import { type MetricRow, printFamily, printLabels } from "./print-family.ts";
import type { NodeLook } from "./sampler.ts";

/** A value, or one for each of something. */
type Values = number | readonly (readonly [labels: Readonly<Record<string, string>>, value: number])[] | undefined;
type Row = readonly [name: string, help: string, type: "counter" | "gauge", values: (view: GroupView) => Values];

const specBytes = (bytes: number): number => (bytes > 2 ** 62 ? 0 : bytes);
const throttled =
  (value: (cpu: GroupDetail["cpu"]) => number) =>
  ({ detail: { cpu } }: GroupView): Values =>
    cpu.quotaUs > 0 ? value(cpu) : undefined;
const perInterface =
  (value: (counters: InterfacePackets) => number) =>
  ({ network }: GroupView): Values =>
    network.map((each) => [{ interface: each.name }, value(each)]);
const perDisk =
  (value: (disk: FileSystem) => number) =>
  ({ disks }: GroupView): Values =>
    disks.map((disk) => [{ device: disk.device }, value(disk)]);
/** A column of /proc/diskstats, from the reads on. */
const counted = (column: number, scale = 1) => perDisk(({ counters }) => (counters?.[column] ?? 0) * scale);
const pressure =
  (of: "cpu" | "memory" | "io", kind: "full" | "some") =>
  ({ usage }: GroupView): Values =>
    usage.pressure && usage.pressure[of][kind].total / 1e6;
const zero = (): Values => 0;
const milli = 1 / 1000;

/** `names`: of disks by their numbers. */
function rows(names: ReadonlyMap<string, string>): readonly Row[] {
  const nameOf = ({ major, minor }: DeviceUse) => names.get(`${major}:${minor}`) ?? "";
  const transfers =
    (which: "bytes" | "operations", operation: "Read" | "Write", column?: number) =>
    ({ detail, disks }: GroupView): Values => [
      ...detail.io[which].map((each) => [{ device: nameOf(each) }, each.amounts[operation] ?? 0] as const),
      ...(column === undefined
        ? []
        : disks.map((disk) => [{ device: disk.device }, disk.counters?.[column] ?? 0] as const)),
    ];
  return [
    [
      "container_blkio_device_usage_total",
      "Blkio Device bytes usage",
      "counter",
      ({ detail }) =>
        detail.io.bytes.flatMap((each) =>
          Object.entries(each.amounts).map(([operation, value]) => {
            const labels = { device: nameOf(each), major: String(each.major), minor: String(each.minor), operation };
            return [labels, value] as const;
          }),
        ),
    ],
    [
      "container_cpu_cfs_burst_periods_total",
      "Number of periods when burst occurs.",
      "counter",
      throttled((cpu) => cpu.burstPeriods),
    ],
    [
      "container_cpu_cfs_burst_seconds_total",
      "Total time duration the container has been bursted.",
      "counter",
      throttled((cpu) => cpu.burstSeconds),
    ],
    [
      "container_cpu_cfs_periods_total",
      "Number of elapsed enforcement period intervals.",
      "counter",
      throttled((cpu) => cpu.periods),
    ],
    [
      "container_cpu_cfs_throttled_periods_total",
      "Number of throttled period intervals.",
      "counter",
      throttled((cpu) => cpu.throttledPeriods),
    ],
    [
      "container_cpu_cfs_throttled_seconds_total",
      "Total time duration the container has been throttled.",
      "counter",
      throttled((cpu) => cpu.throttledSeconds),
    ],
    ["container_cpu_load_average_10s", "Value of container cpu load average over the last 10 seconds.", "gauge", zero],
    [
      "container_cpu_load_d_average_10s",
      "Value of container cpu load.d average over the last 10 seconds.",
      "gauge",
      zero,
    ],
    [
      "container_cpu_system_seconds_total",
      "Cumulative system cpu time consumed in seconds.",
      "counter",
      ({ detail }) => detail.cpu.systemSeconds,
    ],
    [
      "container_cpu_usage_seconds_total",
      "Cumulative cpu time consumed in seconds.",
      "counter",
      ({ usage }) => (usage.cpuNanoSeconds > 0 ? [[{ cpu: "total" }, usage.cpuNanoSeconds / 1e9]] : undefined),
    ],
    [
      "container_cpu_user_seconds_total",
      "Cumulative user cpu time consumed in seconds.",
      "counter",
      ({ detail }) => detail.cpu.userSeconds,
    ],
    [
      "container_file_descriptors",
      "Number of open file descriptors for the container.",
      "gauge",
      ({ detail }) => detail.processes.descriptors,
    ],
    ["container_fs_inodes_free", "Number of available Inodes", "gauge", perDisk((disk) => disk.inodesFree)],
    ["container_fs_inodes_total", "Number of Inodes", "gauge", perDisk((disk) => disk.inodes)],
    ["container_fs_io_current", "Number of I/Os currently in progress", "gauge", counted(8)],
    [
      "container_fs_io_time_seconds_total",
      "Cumulative count of seconds spent doing I/Os",
      "counter",
      counted(9, milli),
    ],
    [
      "container_fs_io_time_weighted_seconds_total",
      "Cumulative weighted I/O time in seconds",
      "counter",
      counted(10, milli),
    ],
    [
      "container_fs_limit_bytes",
      "Number of bytes that can be consumed by the container on this filesystem.",
      "gauge",
      perDisk((disk) => disk.capacityBytes),
    ],
    ["container_fs_read_seconds_total", "Cumulative count of seconds spent reading", "counter", counted(3, milli)],
    ["container_fs_reads_bytes_total", "Cumulative count of bytes read", "counter", transfers("bytes", "Read")],
    ["container_fs_reads_merged_total", "Cumulative count of reads merged", "counter", counted(1)],
    ["container_fs_reads_total", "Cumulative count of reads completed", "counter", transfers("operations", "Read", 0)],
    ["container_fs_sector_reads_total", "Cumulative count of sector reads completed", "counter", counted(2)],
    ["container_fs_sector_writes_total", "Cumulative count of sector writes completed", "counter", counted(6)],
    [
      "container_fs_usage_bytes",
      "Number of bytes that are consumed by the container on this filesystem.",
      "gauge",
      perDisk((disk) => disk.capacityBytes - disk.freeBytes),
    ],
    ["container_fs_write_seconds_total", "Cumulative count of seconds spent writing", "counter", counted(7, milli)],
    ["container_fs_writes_bytes_total", "Cumulative count of bytes written", "counter", transfers("bytes", "Write")],
    ["container_fs_writes_merged_total", "Cumulative count of writes merged", "counter", counted(5)],
    [
      "container_fs_writes_total",
      "Cumulative count of writes completed",
      "counter",
      transfers("operations", "Write", 4),
    ],
    ["container_health_state", "The result of the container's health check", "gauge", () => -1],
    [
      "container_last_seen",
      "Last time a container was seen by the exporter",
      "gauge",
      ({ usage }) => Math.floor(usage.timeMs / 1000),
    ],
    [
      "container_memory_cache",
      "Number of bytes of page cache memory.",
      "gauge",
      ({ usage }) => usage.memory.cacheBytes,
    ],
    [
      "container_memory_failcnt",
      "Number of memory usage hits limits",
      "counter",
      ({ detail }) => detail.memory.failures,
    ],
    [
      "container_memory_failures_total",
      "Cumulative count of memory allocation failures.",
      "counter",
      ({ usage: { memory } }) =>
        ["container", "hierarchy"].flatMap((scope) => [
          [{ failure_type: "pgfault", scope }, memory.pageFaults] as const,
          [{ failure_type: "pgmajfault", scope }, memory.majorPageFaults] as const,
        ]),
    ],
    [
      "container_memory_kernel_usage",
      "Size of kernel memory allocated in bytes.",
      "gauge",
      ({ detail }) => detail.memory.kernelBytes,
    ],
    [
      "container_memory_mapped_file",
      "Size of memory mapped files in bytes.",
      "gauge",
      ({ usage }) => usage.memory.mappedBytes,
    ],
    [
      "container_memory_max_usage_bytes",
      "Maximum memory usage recorded in bytes",
      "gauge",
      ({ detail }) => detail.memory.maxBytes,
    ],
    ["container_memory_rss", "Size of RSS in bytes.", "gauge", ({ usage }) => usage.memory.rssBytes],
    ["container_memory_swap", "Container swap usage in bytes.", "gauge", ({ usage }) => usage.memory.swapBytes],
    [
      "container_memory_total_active_file_bytes",
      "Current total active file in bytes.",
      "gauge",
      ({ usage }) => usage.memory.activeFileBytes,
    ],
    [
      "container_memory_total_inactive_file_bytes",
      "Current total inactive file in bytes.",
      "gauge",
      ({ usage }) => usage.memory.inactiveFileBytes,
    ],
    [
      "container_memory_usage_bytes",
      "Current memory usage in bytes, including all memory regardless of when it was accessed",
      "gauge",
      ({ usage }) => usage.memory.usageBytes,
    ],
    [
      "container_memory_working_set_bytes",
      "Current working set in bytes.",
      "gauge",
      ({ usage }) => usage.memory.workingSetBytes,
    ],
    [
      "container_network_receive_bytes_total",
      "Cumulative count of bytes received",
      "counter",
      perInterface(({ rxBytes }) => rxBytes),
    ],
    [
      "container_network_receive_errors_total",
      "Cumulative count of errors encountered while receiving",
      "counter",
      perInterface(({ rxErrors }) => rxErrors),
    ],
    [
      "container_network_receive_packets_dropped_total",
      "Cumulative count of packets dropped while receiving",
      "counter",
      perInterface(({ rxDropped }) => rxDropped),
    ],
    [
      "container_network_receive_packets_total",
      "Cumulative count of packets received",
      "counter",
      perInterface(({ rxPackets }) => rxPackets),
    ],
    [
      "container_network_transmit_bytes_total",
      "Cumulative count of bytes transmitted",
      "counter",
      perInterface(({ txBytes }) => txBytes),
    ],
    [
      "container_network_transmit_errors_total",
      "Cumulative count of errors encountered while transmitting",
      "counter",
      perInterface(({ txErrors }) => txErrors),
    ],
    [
      "container_network_transmit_packets_dropped_total",
      "Cumulative count of packets dropped while transmitting",
      "counter",
      perInterface(({ txDropped }) => txDropped),
    ],
    [
      "container_network_transmit_packets_total",
      "Cumulative count of packets transmitted",
      "counter",
      perInterface(({ txPackets }) => txPackets),
    ],
    [
      "container_oom_events_total",
      "Count of out of memory events observed for the container",
      "counter",
      ({ detail }) => detail.memory.oomKills,
    ],
    [
      "container_pressure_cpu_stalled_seconds_total",
      "Total time duration no tasks in the container could make progress due to CPU congestion.",
      "counter",
      pressure("cpu", "full"),
    ],
    [
      "container_pressure_cpu_waiting_seconds_total",
      "Total time duration tasks in the container have waited due to CPU congestion.",
      "counter",
      pressure("cpu", "some"),
    ],
    [
      "container_pressure_io_stalled_seconds_total",
      "Total time duration no tasks in the container could make progress due to IO congestion.",
      "counter",
      pressure("io", "full"),
    ],
    [
      "container_pressure_io_waiting_seconds_total",
      "Total time duration tasks in the container have waited due to IO congestion.",
      "counter",
      pressure("io", "some"),
    ],
    [
      "container_pressure_memory_stalled_seconds_total",
      "Total time duration no tasks in the container could make progress due to memory congestion.",
      "counter",
      pressure("memory", "full"),
    ],
    [
      "container_pressure_memory_waiting_seconds_total",
      "Total time duration tasks in the container have waited due to memory congestion.",
      "counter",
      pressure("memory", "some"),
    ],
    [
      "container_processes",
      "Number of processes running inside the container.",
      "gauge",
      ({ detail }) => detail.processes.count,
    ],
    [
      "container_sockets",
      "Number of open sockets for the container.",
      "gauge",
      ({ detail }) => detail.processes.sockets,
    ],
    ["container_spec_cpu_period", "CPU period of the container.", "gauge", ({ detail }) => detail.cpu.periodUs],
    ["container_spec_cpu_quota", "CPU quota of the container.", "gauge", throttled((cpu) => cpu.quotaUs)],
    ["container_spec_cpu_shares", "CPU share of the container.", "gauge", ({ detail }) => detail.cpu.shares],
    [
      "container_spec_memory_limit_bytes",
      "Memory limit for the container.",
      "gauge",
      ({ detail }) => specBytes(detail.memory.limitBytes),
    ],
    [
      "container_spec_memory_reservation_limit_bytes",
      "Memory reservation limit for the container.",
      "gauge",
      ({ detail }) => specBytes(detail.memory.reservationBytes),
    ],
    [
      "container_spec_memory_swap_limit_bytes",
      "Memory swap limit for the container.",
      "gauge",
      ({ detail }) => specBytes(detail.memory.swapLimitBytes),
    ],
    [
      "container_start_time_seconds",
      "Start time of the container since unix epoch in seconds.",
      "gauge",
      ({ detail }) => Math.floor(detail.createdMs / 1000),
    ],
    [
      "container_tasks_state",
      "Number of tasks in given state",
      "gauge",
      () => ["iowaiting", "running", "sleeping", "stopped", "uninterruptible"].map((state) => [{ state }, 0] as const),
    ],
    [
      "container_threads",
      "Number of threads running inside the container",
      "gauge",
      ({ detail }) => detail.processes.threads,
    ],
    [
      "container_threads_max",
      "Maximum number of threads allowed inside the container, infinity if value is zero",
      "gauge",
      ({ detail }) => detail.processes.threadsMax,
    ],
    [
      "container_ulimits_soft",
      "Soft ulimit values for the container root process. Unlimited if -1, except priority and nice",
      "gauge",
      ({ detail: { processes } }) =>
        processes.openFilesMax === undefined ? undefined : [[{ ulimit: "max_open_files" }, processes.openFilesMax]],
    ],
  ];
}

/** What was set once has no time of its own. */
const isTimeless = (name: string): boolean =>
  name.startsWith("container_spec_") || name === "container_start_time_seconds";

export async function printCadvisorMetrics(look: NodeLook, options: CadvisorOptions): Promise<string> {
  const { machine } = options;
  const views = await readGroups(look, options);
  const version = {
    cadvisorRevision: "",
    cadvisorVersion: "",
    dockerVersion: "",
    kernelVersion: machine.kernelVersion,
    osVersion: machine.osImage,
  };
  const shared = views.map(({ id, labels }) => printLabels({ id, ...labels }));
  const families: string[] = [];
  for (const [name, help, type, values] of rows(readDiskNames())) {
    const isTimed = !isTimeless(name);
    const all = views.flatMap((view, at) => rowsOf(view, values(view), { printed: shared[at] ?? "", isTimed }));
    families.push(printFamily({ name, help, type, rows: all }));
    // Megabytes with many pods: others get a turn in between.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return [
    printFamily({
      name: "cadvisor_version_info",
      help: "A metric with a constant '1' value labeled by kernel version, OS version, docker version, cadvisor version & cadvisor revision.",
      type: "gauge",
      rows: [{ labels: version, value: 1 }],
    }),
    ...families,
    printFamily({
      name: "container_scrape_error",
      help: "1 if there was an error while getting container metrics, 0 otherwise",
      type: "gauge",
      rows: [{ labels: {}, value: 0 }],
    }),
    ...machineFamilies(machine),
  ].join("");
}

function rowsOf(
  { usage }: GroupView,
  values: Values,
  { printed, isTimed }: { printed: string; isTimed: boolean },
): MetricRow[] {
  if (values === undefined) return [];
  const timeMs = isTimed ? usage.timeMs : undefined;
  if (typeof values === "number") return [{ printed, labels: {}, value: values, timeMs }];
  return values.map(([labels, value]) => ({ printed, labels, value, timeMs }));
}

function machineFamilies({ memoryBytes, swapBytes, machineId, systemUuid, bootId }: MachineFacts): string[] {
  const { cores, physicalCores, sockets } = readProcessors();
  const own = { boot_id: bootId, machine_id: machineId, system_uuid: systemUuid };
  const gauge = (name: string, help: string, values: Values) => {
    const list = typeof values === "number" ? ([[{}, values]] as const) : (values ?? []);
    const all = list.map(([labels, value]) => ({ labels: { ...own, ...labels }, value }));
    return printFamily({ name: `machine_${name}`, help, type: "gauge", rows: all });
  };
  return [
    gauge("cpu_books", "Number of CPU books.", 0),
    gauge("cpu_cores", "Number of logical CPU cores.", cores),
    gauge("cpu_drawers", "Number of CPU drawers.", 0),
    gauge("cpu_physical_cores", "Number of physical CPU cores.", physicalCores),
    gauge("cpu_sockets", "Number of CPU sockets.", sockets),
    gauge("memory_bytes", "Amount of memory installed on the machine.", memoryBytes),
    gauge("nvm_avg_power_budget_watts", "NVM power budget.", 0),
    gauge("nvm_capacity", "NVM capacity value labeled by NVM mode (memory mode or app direct mode).", [
      [{ mode: "app_direct_mode" }, 0],
      [{ mode: "memory_mode" }, 0],
    ]),
    printFamily({
      name: "machine_scrape_error",
      help: "1 if there was an error while getting machine metrics, 0 otherwise.",
      type: "gauge",
      rows: [{ labels: {}, value: 0 }],
    }),
    gauge("swap_bytes", "Amount of swap memory available on the machine.", swapBytes),
  ];
}
