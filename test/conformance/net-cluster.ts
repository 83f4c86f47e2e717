/** Three real nodes with a pod on each and one on each node's own network, all of which look around when asked: for tests of the network. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { request } from "node:http";
import path from "node:path";
import { text } from "node:stream/consumers";
import type { EndpointSlice, Node, Pod, Service } from "#api";
import type { ClusterApi, TestCluster } from "#testing";
import { image, startNodeCluster } from "./node-pods.ts";

export const podPort = 8080;
export const udpPort = 8081;
/** Of those on the nodes' own networks. */
const hostPort = 18080;
const waitMsMax = 30_000;
const lookMs = 50;

export interface Dialed {
  readonly responses: readonly string[];
  readonly errors: readonly string[];
}

export interface Dial {
  readonly host: string;
  readonly port: number;
  readonly protocol?: "http" | "udp";
  readonly request?: string;
  readonly tries?: number;
  /** The address it comes from; one that the kernel chooses when missing. */
  readonly from?: string;
}

/** A place in the network that tests look from. */
export interface View {
  readonly name: string;
  readonly address: string;
  readonly node: string;
  dial(options: Dial): Promise<Dialed>;
  /** A single try's answer. */
  ask(options: Dial): Promise<string>;
  resolve(name: string, type?: string): Promise<unknown>;
}

export interface NetCluster {
  readonly cluster: TestCluster;
  readonly api: ClusterApi;
  readonly nodes: readonly { readonly name: string; readonly address: string }[];
  /** One on each node, with label `app: server`; they serve `podPort` and UDP `udpPort`. */
  readonly servers: readonly View[];
  /** One on each node's own network. */
  readonly hosts: readonly View[];
  startView(name: string, options?: ViewOptions): Promise<View>;
  createService(name: string, spec: object): Promise<Service>;
  /** Once this many endpoints of it are ready. */
  endpoints(service: string, count: number): Promise<EndpointSlice[]>;
  request(method: string, target: string): Promise<{ status: number; text: string; location: string | undefined }>;
  until<T>(what: string, look: () => Promise<T | undefined | false>): Promise<T>;
  close(): Promise<void>;
}

export interface ViewOptions {
  readonly node?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly ports?: readonly object[];
  readonly spec?: object;
  /** Where the test reaches it. */
  readonly port?: number;
}

/** Node.js and the libraries it needs, of this machine. */
const mounts = Object.entries({
  lib: "/lib",
  lib64: "/lib64",
  usr: "/usr/lib",
  node: path.dirname(process.execPath),
  test: import.meta.dirname,
})
  .filter(([, host]) => existsSync(host))
  .map(([name, host]) => ({ name, host, inside: name === "node" || name === "test" ? `/${name}` : host }));

function viewPod(name: string, { node, labels, env = {}, ports, spec, port = podPort }: ViewOptions) {
  const all = { PORTS: String(port), UDP_PORT: String(port === podPort ? udpPort : port), ...env };
  return {
    metadata: { name, labels },
    spec: {
      terminationGracePeriodSeconds: 0,
      ...(node && { nodeName: node }),
      volumes: mounts.map((each) => ({ name: each.name, hostPath: { path: each.host } })),
      containers: [
        {
          name: "c",
          image,
          imagePullPolicy: "IfNotPresent",
          command: [`/node/${path.basename(process.execPath)}`, "/test/net-server.ts"],
          env: Object.entries(all).map(([key, value]) => ({ name: key, value })),
          ports,
          readinessProbe: { tcpSocket: { port }, periodSeconds: 1 },
          volumeMounts: mounts.map((each) => ({ name: each.name, mountPath: each.inside, readOnly: true })),
        },
      ],
      ...spec,
    },
  };
}

export async function startNetCluster(...flags: string[]): Promise<NetCluster> {
  const { cluster, api, close } = await startNodeCluster(...flags);
  const net: Omit<NetCluster, "nodes" | "servers" | "hosts"> = {
    cluster,
    api,
    close,
    async startView(name, options = {}) {
      const { port = podPort } = options;
      await api.call("POST", `${api.base}/pods`, viewPod(name, options));
      const pod = await api.pod(name, isReady);
      const get = async (target: string) => {
        const answer = await api.text(`${api.base}/pods/${name}:${port}/proxy/${target}`);
        try {
          return JSON.parse(answer) as unknown;
        } catch {
          throw new Error(`${name} answers ${answer}`);
        }
      };
      const dial = async (asked: Dial) => {
        const query = { request: "hostname", ...asked, tries: String(asked.tries ?? 1), port: String(asked.port) };
        return (await get(`dial?${new URLSearchParams(query)}`)) as Dialed;
      };
      return {
        name,
        address: pod.status?.podIP ?? "",
        node: pod.spec?.nodeName ?? "",
        dial,
        async ask(asked) {
          const { responses, errors } = await dial(asked);
          assert.deepEqual(errors, [], `${name} asks ${JSON.stringify(asked)}`);
          return responses[0] ?? "";
        },
        resolve: (asked, type = "host") => get(`resolve?${new URLSearchParams({ name: asked, type })}`),
      };
    },
    createService: async (name, spec) =>
      (await api.call("POST", `${api.base}/services`, { metadata: { name }, spec })) as unknown as Service,
    endpoints: (service, count) =>
      net.until(`${count} endpoints of ${service}`, async () => {
        const slices = `/apis/discovery.k8s.io/v1/namespaces/default/endpointslices`;
        const { items } = await api.call("GET", `${slices}?labelSelector=kubernetes.io/service-name=${service}`);
        const found = items as unknown as EndpointSlice[];
        const ready = found.flatMap(({ endpoints }) => endpoints ?? []).filter(({ conditions }) => conditions?.ready);
        return ready.length === count && found;
      }),
    request: (method, target) =>
      new Promise((resolve, reject) => {
        const sent = request({ socketPath: api.socket, agent: false, method, path: target }, async (answer) => {
          const { statusCode: status = 0, headers } = answer;
          resolve({ status, text: await text(answer), location: headers.location });
        });
        sent.on("error", reject).end();
      }),
    async until(what, look) {
      const end = Date.now() + waitMsMax;
      let last: unknown;
      for (;;) {
        const found = await look().catch((error: unknown) => {
          last = error;
          return undefined;
        });
        if (found) return found;
        if (Date.now() > end) throw new Error(`not within ${waitMsMax} ms: ${what}`, { cause: last });
        await new Promise((next) => setTimeout(next, lookMs));
      }
    },
  };
  try {
    const { items } = await api.call("GET", "/api/v1/nodes");
    const nodes = (items as unknown as Node[]).map(({ metadata, status }) => ({
      name: metadata.name ?? "",
      address: status?.addresses?.find(({ type }) => type === "InternalIP")?.address ?? "",
    }));
    const labels = { app: "server" };
    const [servers, hosts] = await Promise.all([
      Promise.all(nodes.map(({ name }, at) => net.startView(`server-${at}`, { node: name, labels }))),
      Promise.all(
        nodes.map(({ name }, at) =>
          net.startView(`host-${at}`, { node: name, port: hostPort, spec: { hostNetwork: true } }),
        ),
      ),
    ]);
    return { ...net, nodes, servers, hosts };
  } catch (error) {
    await close();
    throw error;
  }
}

const isReady = (pod: Pod | undefined) =>
  pod?.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True");
