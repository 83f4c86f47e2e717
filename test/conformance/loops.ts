/**
 * An API server, the controllers and, for `nodes`, the scheduler and simulated nodes in this process, on a loopback port: what conformance
 * tests need. Time passes as fast as `clock` says: `scaledClock(20)` of #testing makes seconds of minutes (docs/simulated.md).
 */
import type { KubernetesObject } from "#machinery";
import { isStatusError } from "#machinery";
import { type Cluster, type ClusterOptions, startCluster } from "#testing";

/** Answers as tests look at them. */
export type Loose = KubernetesObject & {
  readonly spec: Record<string, unknown>;
  readonly status: Record<string, unknown>;
  readonly items: readonly Loose[];
} & Record<string, unknown>;

export interface Loops
  extends Pick<Cluster, "client" | "clientFor" | "kubeconfigPath" | "nodes" | "runControllers" | "close"> {
  call(method: "GET" | "POST" | "PUT" | "DELETE", target: string, body?: object): Promise<Loose>;
  merge(target: string, body: object): Promise<Loose>;
  /** undefined: it isn't there. */
  find(target: string): Promise<Loose | undefined>;
  /** Looks until the answer is fit. */
  until<T>(what: string, look: () => Promise<T | undefined | false>): Promise<T>;
}

const waitMsMax = 30_000;

export async function startLoops(options: ClusterOptions = {}): Promise<Loops> {
  const { client, clientFor, kubeconfigPath, nodes, runControllers, close } = await startCluster(options);
  const call: Loops["call"] = async (method, target, body) => {
    const [at = "", text = ""] = target.split("?");
    const query = Object.fromEntries(new URLSearchParams(text));
    return (await client.transport.request({ method, path: at, query, ...(body && { body }) })) as Loose; // tests look at what they expect
  };
  const loops: Loops = {
    client,
    clientFor,
    kubeconfigPath,
    nodes,
    runControllers,
    close,
    call,
    merge: async (target, body) =>
      (await client.transport.request({
        method: "PATCH",
        path: target,
        body,
        contentType: "application/merge-patch+json",
      })) as Loose, // as above
    async find(target) {
      try {
        return await call("GET", target);
      } catch (error) {
        if (isStatusError(error, "NotFound")) return undefined;
        throw error;
      }
    },
    async until(what, look) {
      const end = Date.now() + waitMsMax;
      for (;;) {
        const seen = await look();
        if (seen !== undefined && seen !== false) return seen;
        if (Date.now() > end) throw new Error(`not within ${waitMsMax} ms: ${what}`);
        await new Promise((next) => setTimeout(next, 10));
      }
    },
  };
  if (options.controllers !== false)
    await loops.until("the default account", () => loops.find("/api/v1/namespaces/default/serviceaccounts/default"));
  return loops;
}
