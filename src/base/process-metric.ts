/** What every process tells about itself: `process_*` as all exporters call it, `nodejs_*` as exporters in JavaScript do. Read when someone asks. */
import { readdir, readFile } from "node:fs/promises";
import { performance, PerformanceObserver } from "node:perf_hooks";
import { getHeapSpaceStatistics } from "node:v8";
import type { MetricRegistry } from "./metric.ts";

/** Answers a function that ends it. */
export function collectProcess(registry: MetricRegistry): () => void {
  const gauge = (name: string, help: string) => {
    const family = registry.gauge(name, help, []);
    return (value: number) => family.with().set(value);
  };
  const cpu = registry.counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", []);
  const residentBytes = gauge("process_resident_memory_bytes", "Resident memory size in bytes.");
  const virtualBytes = gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.");
  const open = gauge("process_open_fds", "Number of open file descriptors.");
  const allowed = gauge("process_max_fds", "Maximum number of open file descriptors.");
  gauge(
    "process_start_time_seconds",
    "Start time of the process since unix epoch in seconds.",
  )(Math.round(performance.timeOrigin) / 1000);
  const heapTotal = gauge("nodejs_heap_size_total_bytes", "Size of the heap.");
  const heapUsed = gauge("nodejs_heap_size_used_bytes", "Used part of the heap.");
  const external = gauge("nodejs_external_memory_bytes", "Memory outside of the heap that objects in it hold.");
  const space = {
    total: registry.gauge("nodejs_heap_space_size_total_bytes", "Size of a part of the heap.", ["space"]),
    used: registry.gauge("nodejs_heap_space_size_used_bytes", "Used bytes of a part of the heap.", ["space"]),
  };
  const resources = registry.gauge("nodejs_active_resources", "What keeps the event loop alive.", ["type"]);
  const utilization = gauge("nodejs_eventloop_utilization", "Part of the time that the event loop was busy.");
  registry.gauge("nodejs_version_info", "The version of Node.js.", ["version"]).with(process.version).set(1);
  const ends = watchCollections(registry);
  let before = performance.eventLoopUtilization();
  registry.onCollect(async () => {
    const { user, system } = process.cpuUsage();
    const seconds = cpu.with();
    seconds.inc((user + system) / 1e6 - seconds.value);
    const memory = process.memoryUsage();
    residentBytes(memory.rss);
    heapTotal(memory.heapTotal);
    heapUsed(memory.heapUsed);
    external(memory.external);
    for (const { space_name: name, space_size: size, space_used_size: used } of getHeapSpaceStatistics()) {
      const short = name.replace(/_space$/, "");
      space.total.with(short).set(size);
      space.used.with(short).set(used);
    }
    resources.clear();
    for (const type of process.getActiveResourcesInfo()) resources.with(type).add(1);
    // Since the last time someone asked.
    const now = performance.eventLoopUtilization();
    utilization(performance.eventLoopUtilization(now, before).utilization);
    before = now;
    await readProc({ open, allowed, virtualBytes });
  });
  return ends;
}

type Setters = Readonly<Record<"open" | "allowed" | "virtualBytes", (value: number) => void>>;

/** Linux tells these; elsewhere they are left out. */
async function readProc({ open, allowed, virtualBytes }: Setters): Promise<void> {
  if (process.platform !== "linux") return;
  const [files, limits, stat] = await Promise.all([
    readdir("/proc/self/fd"),
    readFile("/proc/self/limits", "utf8"),
    readFile("/proc/self/statm", "utf8"),
  ]);
  open(files.length);
  const max = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  if (max !== undefined) allowed(Number(max));
  virtualBytes(Number(stat.split(" ")[0]) * 4096);
}

const collectionKinds: Readonly<Record<number, string>> = { 1: "minor", 4: "major", 8: "incremental", 16: "weakcb" };

function watchCollections(registry: MetricRegistry): () => void {
  const duration = registry.histogram("nodejs_gc_duration_seconds", "Time of garbage collections.", {
    bounds: [0.001, 0.01, 0.1, 1, 2, 5],
    labels: ["kind"],
  });
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { kind = 0 } = (entry as { detail?: { kind?: number } }).detail ?? {}; // of a garbage collection
      duration.with(collectionKinds[kind] ?? String(kind)).observe(entry.duration / 1000);
    }
  });
  observer.observe({ entryTypes: ["gc"] });
  return () => observer.disconnect();
}
