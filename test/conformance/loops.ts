/** An API server and the controllers in this process, on a loopback port, without nodes: what conformance tests of the API need. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { realClock, silentLogger } from "#base";
import { type Client, createInformers } from "#client";
import { createControllers } from "#controllers";
import type { KubernetesObject } from "#machinery";
import { isStatusError } from "#machinery";
import { startControlPlane } from "../../src/cmd/control-plane.ts";
import { dataLayout } from "../../src/cmd/settings.ts";

/** Answers as tests look at them. */
export type Loose = KubernetesObject & {
  readonly spec: Record<string, unknown>;
  readonly status: Record<string, unknown>;
  readonly items: readonly Loose[];
} & Record<string, unknown>;

export interface Loops {
  readonly client: Client;
  call(method: "GET" | "POST" | "PUT" | "DELETE", target: string, body?: object): Promise<Loose>;
  merge(target: string, body: object): Promise<Loose>;
  /** undefined: it isn't there. */
  find(target: string): Promise<Loose | undefined>;
  /** Looks until the answer is fit. */
  until<T>(what: string, look: () => Promise<T | undefined | false>): Promise<T>;
  close(): Promise<void>;
}

const waitMsMax = 30_000;

export async function startLoops(): Promise<Loops> {
  const directory = mkdtempSync(path.join(tmpdir(), "sampan-conformance-"));
  const plane = await startControlPlane({
    layout: dataLayout(directory),
    serviceCidr: "10.96.0.0/16",
    clusterDomain: "cluster.local",
    bindAddress: "127.0.0.1",
    port: 0,
    advertiseAddress: "127.0.0.1",
    staticTokens: new Map(),
    clock: realClock,
    log: silentLogger,
  });
  const user = (name: string, groups: string[] = []) => plane.client({ name, groups, userAgent: "test" });
  const informers = createInformers(user("system:kube-controller-manager"), { clock: realClock });
  const controllers = createControllers({
    informers,
    clock: realClock,
    log: silentLogger,
    clientFor: (account) =>
      account === undefined
        ? user("system:kube-controller-manager")
        : user(`system:serviceaccount:kube-system:${account}`, [
            "system:serviceaccounts",
            "system:serviceaccounts:kube-system",
          ]),
    options: { clusterCidrs: ["10.244.0.0/16"], rootCa: "the authority", namespaceDelayMs: 0 },
  });
  const stop = new AbortController();
  const running = Promise.all([informers.run(stop.signal), controllers.run(stop.signal)]);
  const client = user("admin", ["system:masters"]);
  const call: Loops["call"] = async (method, target, body) => {
    const [at = "", text = ""] = target.split("?");
    const query = Object.fromEntries(new URLSearchParams(text));
    return (await client.transport.request({ method, path: at, query, ...(body && { body }) })) as Loose; // tests look at what they expect
  };
  const loops: Loops = {
    client,
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
    async close() {
      stop.abort();
      await running;
      await plane.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
  await loops.until("the default account", () => loops.find("/api/v1/namespaces/default/serviceaccounts/default"));
  return loops;
}
