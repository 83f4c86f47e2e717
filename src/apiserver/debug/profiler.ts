/** Profiles of this process, taken by V8's own profilers. They cost nothing until someone asks. */
import type { Profiler, Session } from "node:inspector";
import { setTimeout } from "node:timers/promises";
import { type CallFrame, encodeProfile, type StackNode } from "./pprof.ts";

/** One at a time: two would measure each other. */
export class ProfilerBusy extends Error {
  override name = "ProfilerBusy";
}

/** As V8's default: often enough to see what takes milliseconds. */
const cpuIntervalMicros = 1_000;
/** As Go's. */
const heapIntervalBytes = 512 * 1024;

export interface ProfileRequest {
  readonly seconds: number;
  /** Whoever asked has gone. */
  readonly signal: AbortSignal;
}

export class ProcessProfiler {
  #busy = false;

  /** Where the processor's time goes, as a gzipped pprof message. */
  cpu(request: ProfileRequest): Promise<Buffer> {
    return this.#with(async ({ post }) => {
      await post("Profiler.enable");
      await post("Profiler.setSamplingInterval", { interval: cpuIntervalMicros });
      await post("Profiler.start");
      const startMs = Date.now();
      await sleep(request);
      const { profile } = (await post("Profiler.stop")) as Profiler.StopReturnType;
      return encodeProfile(cpuTree(profile), {
        sampleTypes: [
          { type: "samples", unit: "count" },
          { type: "cpu", unit: "nanoseconds" },
        ],
        periodType: { type: "cpu", unit: "nanoseconds" },
        period: cpuIntervalMicros * 1000,
        startMs,
        durationMs: Date.now() - startMs,
      });
    });
  }

  /** What was allocated meanwhile: what of it is still in use, or with `all` also what is gone. */
  heap(request: ProfileRequest, { all }: { all: boolean }): Promise<Buffer> {
    return this.#with(async ({ post }) => {
      await post("HeapProfiler.startSampling", {
        samplingInterval: heapIntervalBytes,
        includeObjectsCollectedByMajorGC: all,
        includeObjectsCollectedByMinorGC: all,
      });
      const startMs = Date.now();
      await sleep(request);
      const { profile } = (await post("HeapProfiler.stopSampling")) as { profile: HeapProfile };
      const prefix = all ? "alloc" : "inuse";
      return encodeProfile(heapTree(profile), {
        sampleTypes: [
          { type: `${prefix}_objects`, unit: "count" },
          { type: `${prefix}_space`, unit: "bytes" },
        ],
        periodType: { type: "space", unit: "bytes" },
        period: heapIntervalBytes,
        startMs,
        durationMs: Date.now() - startMs,
      });
    });
  }

  async #with<T>(work: (inspector: { post: Post }) => Promise<T>): Promise<T> {
    if (this.#busy) throw new ProfilerBusy("a profile is being taken already");
    this.#busy = true;
    const { Session } = await import("node:inspector");
    const session = new Session();
    try {
      session.connect();
      return await work({ post: posting(session) });
    } finally {
      session.disconnect();
      this.#busy = false;
    }
  }
}

type Post = (method: string, parameters?: object) => Promise<unknown>;

const posting =
  (session: Session): Post =>
  (method, parameters) =>
    new Promise((resolve, reject) => {
      session.post(method, parameters, (error: Error | null, result: unknown) =>
        error ? reject(error) : resolve(result),
      );
    });

async function sleep({ seconds, signal }: ProfileRequest): Promise<void> {
  try {
    await setTimeout(seconds * 1000, undefined, { signal });
  } catch (error) {
    // What was measured so far is taken and thrown away.
    if (!signal.aborted) throw error;
  }
}

interface CpuNode {
  readonly callFrame: CallFrame;
  values: [number, number];
  readonly children: CpuNode[];
}

function cpuTree({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): StackNode {
  const byId = new Map<number, CpuNode>();
  for (const { id, callFrame } of nodes) byId.set(id, { callFrame, values: [0, 0], children: [] });
  for (const { id, children = [] } of nodes)
    for (const child of children) {
      const node = byId.get(child);
      if (node) byId.get(id)?.children.push(node);
    }
  samples.forEach((id, at) => {
    const node = byId.get(id);
    // Time in which nothing ran is nobody's.
    if (!node || node.callFrame.functionName === "(idle)") return;
    node.values[0]++;
    // A delta says when the sample was taken: it lasts until the next one.
    node.values[1] += Math.max(0, timeDeltas[at + 1] ?? 0) * 1000;
  });
  return byId.get(nodes[0]?.id ?? 0) ?? { callFrame: noFrame, values: [0, 0], children: [] };
}

const noFrame: CallFrame = { functionName: "(root)", url: "", lineNumber: -1 };

/** As the protocol has it; the types of Node.js are older. */
interface HeapProfile {
  readonly head: HeapNode;
  readonly samples: readonly { readonly size: number; readonly nodeId: number }[];
}

interface HeapNode {
  readonly id: number;
  readonly callFrame: CallFrame;
  readonly children: readonly HeapNode[];
}

function heapTree({ head, samples }: HeapProfile): StackNode {
  const byId = new Map<number, [number, number]>();
  for (const { nodeId, size } of samples) {
    const values = byId.getOrInsertComputed(nodeId, () => [0, 0]);
    values[0]++;
    values[1] += size;
  }
  const tree = ({ id, callFrame, children }: HeapNode): StackNode => ({
    callFrame,
    values: byId.get(id) ?? [0, 0],
    children: children.map(tree),
  });
  return tree(head);
}
