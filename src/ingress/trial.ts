/** For tests: the proxy alone on loopback ports, with Services and endpoints that the test sets. */
import type { EndpointSlice, Ingress, Service } from "#api";
import { realClock, silentLogger } from "#base";
import { createClient, type InformerSet } from "#client";
import type { Transport } from "#machinery";
import { type Certificates, createCertificates, type Pair } from "./certificates.ts";
import { createListener } from "./listener.ts";
import { createPools } from "./pools.ts";
import { createRouter } from "./router.ts";
import { RouteTable } from "./routes.ts";

export interface TrialOptions {
  readonly informers: InformerSet;
  readonly transport: Transport;
  readonly ownPair: Pair;
  readonly isTrusted?: (address: string) => boolean;
  readonly headMs?: number;
  readonly stalledMs?: number;
}

export interface Trial {
  readonly http: number;
  readonly https: number;
  readonly problems: readonly string[];
  readonly certificates: Certificates;
  set(ingress: Ingress): void;
  close(): Promise<void>;
}

export async function startTrial({ informers, transport, ownPair, isTrusted, ...times }: TrialOptions): Promise<Trial> {
  const routes = new RouteTable();
  const pools = createPools(informers);
  const problems: string[] = [];
  let https = 0;
  const certificates = createCertificates({
    client: createClient(transport),
    makeOwn: async () => ownPair,
    onDefault: () => void listener.refreshDefault(),
    onProblem: (secret, problem) => problems.push(`${secret}: ${problem}`),
    clock: realClock,
    log: silentLogger,
  });
  const listener = createListener({
    router: createRouter({ routes, pools, httpsPort: () => https }),
    contextOf: (name) => certificates.contextOf(name),
    defaultPair: () => certificates.defaultPair(),
    isTrusted: isTrusted ?? (() => false),
    now: () => performance.now(),
    log: silentLogger,
    ...times,
  });
  const http = await listener.listen("http", 0, "127.0.0.1");
  https = await listener.listen("https", 0, "127.0.0.1");
  return {
    ...{ http, https, problems, certificates },
    set(ingress) {
      const key = `${ingress.metadata.namespace}/${ingress.metadata.name}`;
      routes.set(key, ingress);
      certificates.set(key, ingress);
    },
    async close() {
      pools.close();
      await Promise.all([listener.close(), certificates.close()]);
    },
  };
}

/** Everything of a host to one Service. */
export const trialIngress = (host: string, name: string, more: Partial<Ingress> = {}): Ingress => ({
  ...more,
  metadata: { namespace: "ns", name: host || "all", uid: host, ...more.metadata },
  spec: {
    rules: [{ host, http: { paths: [{ path: "/", pathType: "Prefix", backend: trialBackend(name) }] } }],
    ...more.spec,
  },
});

export const trialBackend = (name: string) => ({ service: { name, port: { name: "web" } } });

export const trialService = (name: string, port: object = {}, spec: object = {}): Service => ({
  metadata: { namespace: "ns", name },
  spec: { ports: [{ name: "web", port: 80, ...port }], ...spec },
});

/** `ports` of 127.0.0.1; each with its conditions if not ready. */
export const trialSlice = (
  service: string,
  ports: readonly (number | readonly [port: number, conditions: object])[],
): EndpointSlice[] =>
  ports.map((each, i) => {
    const [port, conditions] = typeof each === "number" ? [each, { ready: true }] : each;
    return {
      metadata: { namespace: "ns", name: `${service}-${i}`, labels: { "kubernetes.io/service-name": service } },
      addressType: "IPv4",
      ports: [{ name: "web", port, protocol: "TCP" }],
      endpoints: [{ addresses: ["127.0.0.1"], conditions }],
    };
  });
