/**
 * When the machine is about to shut down, pods end first: systemd's logind is asked to wait (a delay inhibitor) and tells when it begins.
 * The inhibitor is a file descriptor that logind hands over, which Node.js can't receive: `systemd-inhibit`, a part of logind's package, holds
 * it. Only for nodes that are told how long pods may take.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock, Logger } from "#base";
import { delay } from "#client";
import { formatTime } from "#machinery";
import type { Refusal } from "../core/admission.ts";
import type { PodVerdict } from "../core/pod-status.ts";
import type { PodView } from "../core/types.ts";
import { connectDbus, type Dbus } from "./dbus.ts";
import { groupPods, requestedMs, type ShutdownPeriod } from "./groups.ts";

export interface ShutdownWorker {
  pod(): PodView;
  stage(): string;
  evict(verdict: PodVerdict, options: { graceSeconds: number }): void;
  onLook(listener: () => void): () => void;
}

export interface NodeShutdownOptions {
  readonly periods: readonly ShutdownPeriod[];
  /** Of the node: when it last shut down is kept there. */
  readonly folder: string;
  readonly clock: Clock;
  readonly log: Logger;
  workers(): Iterable<ShutdownWorker>;
  event(type: "Normal", reason: string, message: string): void;
  /** The node's condition is another. */
  onChange(): void;
  /** What holds logind's inhibitor while it runs. */
  readonly inhibitor?: readonly [command: string, ...args: string[]];
  /** Where logind's settings are. */
  readonly logindFolder?: string;
  readonly busAddress?: string;
}

export interface NodeShutdown {
  /** Watches until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** Why the node isn't ready. */
  problems(): readonly string[];
  refuse(): Refusal | undefined;
}

const logind = { destination: "org.freedesktop.login1", path: "/org/freedesktop/login1" };
const manager = "org.freedesktop.login1.Manager";
const inhibit = [
  "systemd-inhibit",
  "--what=shutdown",
  "--who=kubelet",
  "--why=Kubelet needs time to handle node shutdown",
  "--mode=delay",
  "sleep",
  "infinity",
] as const;
const stateFile = "graceful_node_shutdown_state";
const reconnectMs = 1000;
/** logind reads its settings a moment later. */
const settingsLooks = 5;
const settingsLookMs = 100;
const sighup = 1;

const message = "Pod was terminated in response to imminent node shutdown.";

const verdictAt = (now: number): PodVerdict => ({
  ...{ phase: "Failed", reason: "Terminated", message },
  condition: {
    ...{ type: "DisruptionTarget", status: "True", reason: "TerminationByKubelet", message },
    lastTransitionTime: formatTime(now),
  },
});

export function createNodeShutdown(options: NodeShutdownOptions): NodeShutdown {
  const { periods, clock, log, folder } = options;
  let isShuttingDown = false;
  let holder: ChildProcess | undefined;

  function hold(): void {
    const [command, ...args] = options.inhibitor ?? inhibit;
    const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"] });
    child.on("error", (error) => log.warn("shutting down can't be delayed", { command, error }));
    let complaint = "";
    child.stderr.on("data", (text) => {
      complaint += text;
    });
    child.on("exit", (code) => {
      if (code !== null && holder === child) log.warn("shutting down isn't delayed any more", { complaint });
    });
    release();
    holder = child;
  }

  const release = (): void => {
    holder?.kill();
    // What it started may live on for a moment.
    holder?.stderr?.destroy();
    holder = undefined;
  };

  async function watch(signal: AbortSignal): Promise<void> {
    const bus = await connectDbus(options.busAddress);
    const close = () => bus.close();
    signal.addEventListener("abort", close, { once: true });
    try {
      await allowDelay(bus);
      bus.onMessage(({ type, interface: from, member, body }) => {
        if (type !== "signal" || from !== manager || member !== "PrepareForShutdown") return;
        if (typeof body[0] === "boolean") turned(body[0]);
      });
      await bus.addMatch(`type='signal',interface='${manager}',member='PrepareForShutdown',path='${logind.path}'`);
      hold();
      await bus.closed;
    } finally {
      signal.removeEventListener("abort", close);
      bus.close();
      release();
    }
  }

  /** As long as pods may take. */
  async function allowDelay(bus: Dbus): Promise<void> {
    const wantedMs = requestedMs(periods);
    const allowedMs = async () => {
      const properties = { ...logind, interface: "org.freedesktop.DBus.Properties", member: "Get", signature: "ss" };
      const [answer] = await bus.call({ ...properties, body: [manager, "InhibitDelayMaxUSec"] });
      return Number((answer as { value: bigint }).value) / 1000; // a variant of a number, as logind documents
    };
    if ((await allowedMs()) >= wantedMs) return;
    const settings = options.logindFolder ?? "/etc/systemd/logind.conf.d";
    await mkdir(settings, { recursive: true });
    const text = `# Kubelet logind override\n[Login]\nInhibitDelayMaxSec=${Math.round(wantedMs / 1000)}\n`;
    await writeFile(join(settings, "99-kubelet.conf"), text);
    const systemd = { destination: "org.freedesktop.systemd1", path: "/org/freedesktop/systemd1" };
    const kill = { ...systemd, interface: "org.freedesktop.systemd1.Manager", member: "KillUnit", signature: "ssi" };
    await bus.call({ ...kill, body: ["systemd-logind.service", "all", sighup] });
    let allowed = 0;
    for (let look = 0; look < settingsLooks; look++) {
      allowed = await allowedMs();
      if (allowed >= wantedMs) return;
      await delay(clock, settingsLookMs * 2 ** look);
    }
    throw new Error(
      `node shutdown manager was timed out after ${settingsLooks} attempts waiting for logind InhibitDelayMaxSec to update to ${wantedMs / 1000}s (ShutdownGracePeriod), current value is ${allowed / 1000}s`,
    );
  }

  function turned(begins: boolean): void {
    log.info(begins ? "the machine shuts down" : "the machine doesn't shut down after all");
    options.event("Normal", "NodeShutdown", `Shutdown manager detected shutdown ${begins ? "event" : "cancellation"}`);
    isShuttingDown = begins;
    options.onChange();
    if (!begins) {
      hold();
      return;
    }
    endPods()
      .catch((error: unknown) => log.error("pods could not be ended before the machine", { error }))
      .finally(release);
  }

  async function endPods(): Promise<void> {
    const startTime = new Date(clock.now()).toISOString();
    await keep({ startTime });
    const active = [...options.workers()].filter((worker) => worker.stage() !== "ended");
    for (const { period, pods } of groupPods(periods, active)) {
      if (pods.length === 0) continue;
      const limit = new AbortController();
      const late = delay(clock, period.shutdownGracePeriodSeconds * 1000, limit.signal);
      await Promise.race([
        late,
        Promise.all(
          pods.map((pod) => end(pod, { verdict: verdictAt(clock.now()), seconds: period.shutdownGracePeriodSeconds })),
        ),
      ]);
      limit.abort();
    }
    await keep({ startTime, endTime: new Date(clock.now()).toISOString() });
    log.info("pods ended before the machine");
  }

  const keep = (state: object) => writeFile(join(folder, stateFile), JSON.stringify(state));

  return {
    problems: () => (isShuttingDown ? ["node is shutting down"] : []),
    refuse: () =>
      isShuttingDown
        ? { reason: "NodeShutdown", message: "Pod was rejected as the node is shutting down." }
        : undefined,
    async run(signal) {
      let isKnown = false;
      while (!signal.aborted) {
        try {
          await watch(signal);
          isKnown = true;
        } catch (error) {
          log.warn("nobody tells when the machine shuts down", { error });
          // Without logind there is none to come, as upstream.
          if (!isKnown) return;
        }
        await delay(clock, reconnectMs, signal);
      }
    },
  };
}

/** Resolves when nothing of it runs any more. */
function end(worker: ShutdownWorker, { verdict, seconds }: { verdict: PodVerdict; seconds: number }): Promise<void> {
  const own = worker.pod().spec?.terminationGracePeriodSeconds;
  return new Promise((resolve) => {
    const stop = worker.onLook(look);
    worker.evict(verdict, { graceSeconds: own !== undefined && own <= seconds ? own : seconds });
    look();
    function look(): void {
      if (worker.stage() !== "ended") return;
      stop();
      resolve();
    }
  });
}
