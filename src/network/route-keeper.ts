/**
 * Keeps the kernel's routes to other nodes as the nodes want them. What is there is read once, and again when somebody else may have changed
 * it (`route-monitor.ts`). Between, each turn of events is one batch. What fails is tried again with growing delays.
 */
import { backoffMs } from "#base";
import { type ClosableEventRecorder, createEventRecorder } from "#client";
import type { RoutesOptions } from "./contract.ts";
import { bridgeJson, type Failure, ipJson, type Route, runBatch, waysTo } from "./ip.ts";
import { routeProtocol, vxlanName } from "./names.ts";
import { NetworkError } from "./network-error.ts";
import { changeBetween, type OtherNode, type Plan, planRoutes } from "./plan.ts";
import { addressText } from "./range.ts";
import { createRouteMonitor } from "./route-monitor.ts";
import { findVxlan, removeVxlan, setUpVxlan } from "./vxlan.ts";

export interface RouteKeeperOptions extends RoutesOptions {
  readonly nodes: () => readonly OtherNode[];
  /** Asks to be called again. */
  readonly changed: () => void;
}

export interface RouteKeeper {
  /** Makes what is there what should be. Never two at once. */
  keep(): Promise<void>;
  close(): Promise<void>;
}

/** What the kernel has, besides routes: whether the device is there. */
interface Seen extends Omit<Plan, "problems"> {
  readonly hasVxlan: boolean;
}

const retry = { initialMs: 1000, maxMs: 60_000 };
/** Of nodes with the same trouble at once: lines of the log. */
const saidMax = 20;

export function createRouteKeeper(options: RouteKeeperOptions): RouteKeeper {
  const { network, clock, log, changed } = options;
  /** Undefined: to be read. */
  let seen: Seen | undefined;
  /** Something happened since it was read. */
  let isOld = false;
  let isVxlanRight = false;
  const ways = new Map<string, Route | undefined>();
  /** As they were said. */
  let problems: Plan["problems"] = new Map();
  let failures = 0;
  let cancelRetry: (() => void) | undefined;
  let recorder: ClosableEventRecorder | undefined;
  const monitor = createRouteMonitor({
    clock,
    log,
    onChange() {
      isOld = true;
      changed();
    },
  });

  async function keep(): Promise<void> {
    cancelRetry?.();
    cancelRetry = undefined;
    const failed = await change().catch((error: unknown) => {
      if (!(error instanceof NetworkError)) throw error;
      return [{ line: "", message: error.message }];
    });
    if (failed.length === 0) {
      failures = 0;
      return;
    }
    seen = undefined;
    const delayMs = backoffMs(++failures, retry);
    const [{ line, message } = { line: "", message: "" }] = failed;
    log.warn("ways to other nodes could not be made; they are tried again", {
      line,
      message,
      failed: failed.length,
      delayMs,
    });
    cancelRetry = clock.after(delayMs, changed);
  }

  async function change(): Promise<Failure[]> {
    const nodes = options.nodes();
    // Before anything is read, so that nothing is missed.
    if (nodes.length > 0 && network.mode !== "none") monitor.start();
    let now = seen;
    if (!now || isOld) {
      isOld = false;
      ways.clear();
      isVxlanRight = false;
      now = await readEntries();
    }
    await askWays(nodes);
    const found = new Map([...ways].filter((entry): entry is [string, Route] => entry[1] !== undefined));
    const plan = planRoutes({ ...network, clusterCidrs: options.clusterCidrs, nodes, ways: found });
    report(plan.problems);
    const needsVxlan = plan.forwards.size > 0;
    if (needsVxlan && !isVxlanRight) {
      await setUpVxlan(network, options.nodeName);
      // A device that was made anew took its entries along.
      now = await readEntries();
      isVxlanRight = true;
    }
    const { bridge, ip } = changeBetween(now, plan);
    // First where things are, then what is sent there.
    const failed = [...(await runBatch("bridge", bridge)), ...(await runBatch("ip", ip))];
    if (now.hasVxlan && !needsVxlan) await removeVxlan();
    seen = { ...plan, hasVxlan: needsVxlan };
    if (ip.length > 0)
      log.info("ways to other nodes changed", { routes: plan.routes.size, lines: ip.length + bridge.length });
    return failed;
  }

  async function askWays(nodes: readonly OtherNode[]): Promise<void> {
    if (network.mode === "vxlan" || network.mode === "none") return;
    const addresses = new Set(nodes.flatMap((node) => node.addresses.flatMap((text) => addressText(text) ?? [])));
    for (const address of ways.keys()) if (!addresses.has(address)) ways.delete(address);
    const unknown = [...addresses].filter((address) => !ways.has(address));
    const found = await waysTo(unknown);
    for (const address of unknown) ways.set(address, found.get(address));
  }

  function report(current: Plan["problems"]): void {
    const fresh = [...current].filter(([key, text]) => problems.get(key) !== text);
    problems = current;
    for (const [key, text] of fresh.slice(0, saidMax)) {
      const [name = ""] = key.split(" ");
      log.warn("pods of a node can't be reached", { node: name, why: text });
      // Others say it of theirs; one event for each is enough.
      if (!text.endsWith("that of this node")) continue;
      recorder ??= createEventRecorder({ ...options, component: "sampan-routes", host: options.nodeName });
      const message = `Pods of node ${name} can't be reached from node ${options.nodeName}: ${text}`;
      const about = { apiVersion: "v1", kind: "Node", metadata: { name, uid: name } };
      recorder.event(about, { type: "Warning", reason: "PodCIDRConflict", message });
    }
    if (fresh.length > saidMax) log.warn("pods of more nodes can't be reached", { nodes: fresh.length - saidMax });
  }

  return {
    keep,
    async close() {
      cancelRetry?.();
      await Promise.all([monitor.close(), recorder?.close()]);
    },
  };
}

interface Neighbour {
  readonly dst: string;
  readonly lladdr?: string;
}
interface Forward {
  readonly mac: string;
  readonly dst?: string;
}

async function readEntries(): Promise<Seen> {
  const proto = ["proto", routeProtocol.nodes];
  const [IPv4, IPv6, vxlan] = await Promise.all([
    ipJson<Route>("-4", "route", "show", ...proto),
    ipJson<Route>("-6", "route", "show", ...proto),
    findVxlan(),
  ]);
  const [neighbours, forwards] = vxlan
    ? await Promise.all([
        ipJson<Neighbour>("neigh", "show", "dev", vxlanName, "nud", "permanent"),
        bridgeJson<Forward>("fdb", "show", "dev", vxlanName),
      ])
    : [[], []];
  const withBits = (dst: string, bits: number) => (dst.includes("/") ? dst : `${dst}/${bits}`);
  return {
    hasVxlan: vxlan !== undefined,
    routes: new Map([
      ...IPv4.map((route) => [withBits(route.dst, 32), printWay(route)] as const),
      ...IPv6.map((route) => [withBits(route.dst, 128), printWay(route)] as const),
    ]),
    neighbours: new Map(neighbours.map(({ dst, lladdr = "" }) => [dst, lladdr])),
    forwards: new Map(forwards.map(({ mac, dst = "" }) => [mac, dst])),
  };
}

/** As plans have it. */
const printWay = ({ gateway, dev, prefsrc, flags = [] }: Route): string =>
  `via ${gateway} dev ${dev}${prefsrc ? ` src ${prefsrc}` : ""}${flags.includes("onlink") ? " onlink" : ""}`;
