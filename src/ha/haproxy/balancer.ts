/**
 * Keeps a haproxy at what is wanted: servers that come and go are told over its runtime API, anything else is a reload. What came in while one
 * change was made goes into the next.
 */
import { createServer } from "node:net";
import type { Clock, Logger } from "#base";
import { printConfig, type Slotted } from "./config.ts";
import type { Balanced, Places } from "./model.ts";
import type { Haproxy } from "./process.ts";
import { assignSlots, runtimeCommands, shapeOf } from "./slots.ts";

/** Between two reloads: each leaves a process behind until its connections end. */
const reloadMs = 500;
const retryMs = 5_000;

export interface BalancerOptions {
  readonly haproxy: Haproxy;
  readonly stats?: string | undefined;
  /** What haproxy really listens for now, and what it can't. */
  readonly changed?: (running: readonly Balanced[], refused: ReadonlyMap<string, string>) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Balancer {
  /** Resolves when haproxy works so, or is known not to. */
  want(balanced: readonly Balanced[]): Promise<void>;
}

export function createBalancer({ haproxy, stats, changed, clock, log }: BalancerOptions): Balancer {
  const places: Places = { socket: haproxy.socket, stats };
  let running: readonly Slotted[] | undefined;
  let wanted: readonly Balanced[] = [];
  let working: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  let reloadedAt = -reloadMs;

  async function bring(): Promise<void> {
    const isTakingOver = running === undefined && (await haproxy.isThere());
    const { free, refused } = isTakingOver
      ? { free: wanted, refused: new Map<string, string>() }
      : await freePorts(wanted, running ?? []);
    const before = new Map(running?.map((each) => [each.name, each]));
    const after = free.map((one) => assignSlots(one, before.get(one.name)));
    if (running && shapeOf(running) === shapeOf(after)) {
      const commands = runtimeCommands(running, after);
      if (commands.length > 0) {
        const adjusting = haproxy.adjust(printConfig(after, places), commands);
        await adjusting.catch((error: unknown) => reload(after, error));
      }
    } else await reload(after);
    running = after;
    changed?.(free, refused);
    if (refused.size > 0) clock.after(retryMs, () => void want(wanted));
  }

  async function reload(after: readonly Slotted[], why?: unknown): Promise<void> {
    if (why !== undefined) log.warn("haproxy is loaded anew", { why: String(why) });
    const waitMs = reloadedAt + reloadMs - clock.now();
    if (running && waitMs > 0) await new Promise<void>((done) => clock.after(waitMs, done));
    reloadedAt = clock.now();
    await haproxy.load(printConfig(after, places));
    log.info("haproxy works", { frontends: after.length });
  }

  function want(balanced: readonly Balanced[]): Promise<void> {
    wanted = balanced;
    if (next) return next;
    const run = async () => {
      await working?.catch(() => undefined); // who asked for it was told
      next = undefined;
      working = bring();
      await working;
    };
    next = run();
    return next;
  }
  return { want };
}

/** A port that another program has would keep haproxy from every other change: it is left out, and tried again. */
async function freePorts(wanted: readonly Balanced[], running: readonly Balanced[]) {
  const placesOf = (all: readonly Balanced[]) =>
    new Set(all.flatMap(({ binds, port }) => binds.map((bind) => `${bind} ${port}`)));
  const ours = placesOf(running);
  const refused = new Map<string, string>();
  const free: Balanced[] = [];
  for (const one of wanted) {
    const fresh = one.binds.filter((bind) => !ours.has(`${bind} ${one.port}`));
    const problems = await Promise.all(fresh.map((bind) => bindProblem(bind, one.port)));
    const problem = problems.find((each) => each !== undefined);
    if (problem === undefined) free.push(one);
    else refused.set(one.name, problem);
  }
  return { free, refused };
}

const bindProblem = (bind: string, port: number): Promise<string | undefined> =>
  new Promise((resolve) => {
    const server = createServer();
    server.on("error", (error: NodeJS.ErrnoException) =>
      resolve(error.code === "EADDRINUSE" ? `another program has port ${port}` : error.message),
    );
    server.listen({ host: bind === "*" ? "0.0.0.0" : bind, port, exclusive: true, ipv6Only: true }, () =>
      server.close(() => resolve(undefined)),
    );
  });
