/**
 * A whole cluster in the process of a test: API server with an embedded store in a folder of its own, controllers, scheduler and simulated
 * nodes, on a loopback port, without root or anything installed. What tests of operators and tools talk to.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { type Clock, type Logger, realClock, silentLogger } from "#base";
import type { Node } from "#api";
import { createRequestSigner } from "#apiserver";
import { type Client, createClient, createInformers, type Informer, type InformerSet } from "#client";
import {
  type ControlPlane,
  dataLayout,
  kubernetesVersion,
  readFeatureGates,
  readRuntimeConfig,
  signersOf,
  startControlPlane,
  widened,
  writeAdminKubeconfig,
} from "#cmd";
import { createControllers } from "#controllers";
import type { Transport } from "#machinery";
import { loadSimulatedNodes, type SimulatedNodes, type SimulatedNodesOptions } from "#kubelet";
import { createScheduler } from "#scheduler";

type ControllerOptions = NonNullable<Parameters<typeof createControllers>[0]["options"]>;

export interface ClusterOptions {
  /** How many simulated nodes, or more about them; none when missing. */
  readonly nodes?: number | ({ readonly count: number } & Partial<Omit<SimulatedNodesOptions, "client" | "informers">>);
  /** Missing: when there are nodes. */
  readonly scheduler?: boolean;
  /** Over those that suit a test; false: none run. */
  readonly controllers?: Partial<ControllerOptions> | false;
  /** As the flags of these names: `CoordinatedLeaderElection=true`, `coordination.k8s.io/v1beta1=true`. */
  readonly featureGates?: readonly string[];
  readonly runtimeConfig?: readonly string[];
  readonly clock?: Clock;
  readonly log?: Logger;
  /** Of the API server; any free one when missing. */
  readonly port?: number;
}

export interface Cluster {
  /** Acts as the administrator, without a socket in between. */
  readonly client: Client;
  clientFor(user: { readonly name: string; readonly groups?: readonly string[]; readonly userAgent?: string }): Client;
  /** `https://127.0.0.1:…`. */
  readonly server: string;
  readonly kubeconfigPath: string;
  readonly kubeconfig: string;
  readonly nodes: SimulatedNodes | undefined;
  /** Once more, until the signal aborts: as another process would, whose requests go `through` that. */
  runControllers(
    signal: AbortSignal,
    through?: (transport: Transport) => Transport,
  ): { readonly informers: InformerSet; readonly done: Promise<unknown> };
  /** Ends everything and removes its folder. */
  close(): Promise<void>;
}

/** Resolves when requests are answered and all nodes are ready for pods. */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const { clock = realClock, log = silentLogger } = options;
  const given = typeof options.nodes === "number" ? { count: options.nodes } : options.nodes;
  const directory = mkdtempSync(path.join(tmpdir(), "sampan-cluster-"));
  const layout = dataLayout(directory);
  const stop = new AbortController();
  const { signal } = stop;
  const parts: Promise<unknown>[] = [];
  let plane: ControlPlane | undefined;
  const close = async () => {
    stop.abort();
    try {
      await Promise.all(parts);
    } finally {
      await plane?.close();
      rmSync(directory, { recursive: true, force: true });
    }
  };
  try {
    const features = readFeatureGates(options.featureGates ?? [], (text) => log.warn(text));
    plane = await startControlPlane({
      layout,
      features,
      versions: readRuntimeConfig(options.runtimeConfig ?? []),
      serviceCidr: "10.96.0.0/16",
      clusterDomain: "cluster.local",
      bindAddress: "127.0.0.1",
      port: options.port ?? 0,
      advertiseAddress: "127.0.0.1",
      staticTokens: new Map(),
      clock,
      log,
    });
    const { client: clientOf, pki, port, legacyToken } = plane;
    const server = `https://127.0.0.1:${port}`;
    await writeAdminKubeconfig(layout.kubeconfig, { server, pki });
    const clientFor: Cluster["clientFor"] = ({ name, groups = [], userAgent = "test" }) =>
      clientOf({ name, groups, userAgent });
    const admin = { name: "kubernetes-admin", groups: ["system:masters"] };
    const client = clientFor(admin);

    const runControllers: Cluster["runControllers"] = (life, through = (transport) => transport) => {
      const userAgent = "kube-controller-manager";
      const groups = ["system:serviceaccounts", "system:serviceaccounts:kube-system"];
      const as = (name: string, own: readonly string[] = []) =>
        createClient(through(clientFor({ name, groups: own, userAgent }).transport));
      const manager = as("system:kube-controller-manager");
      const informers = createInformers(manager, { clock, log });
      const controllers = createControllers({
        informers,
        clock,
        log,
        clientFor: (account) =>
          account === undefined ? manager : as(`system:serviceaccount:kube-system:${account}`, groups),
        options: {
          clusterCidrs: [widened("10.244.0.0/16", given?.count ?? 0)],
          serviceCidrs: ["10.96.0.0/16"],
          rootCa: pki.authority.certificate,
          legacyToken,
          signers: signersOf(createRequestSigner(pki.authority)),
          namespaceDelayMs: 0,
          autoscaling: { scaleToZero: features.scaleToZero },
          storageVersionMigration: features.storageVersionMigration,
          ...options.controllers,
        },
      });
      return { informers, done: Promise.all([controllers.run(life), informers.run(life)]) };
    };
    const own = options.controllers === false ? undefined : runControllers(signal);
    if (own) parts.push(own.done);
    if (options.scheduler ?? given !== undefined) {
      const schedulerClient = clientFor({ name: "system:kube-scheduler", userAgent: "kube-scheduler" });
      const seen = createInformers(schedulerClient, { clock, log });
      parts.push(
        createScheduler({ client: schedulerClient, informers: seen, clock, log }).run(signal),
        seen.run(signal),
      );
    }
    const kubelet = clientFor({ ...admin, userAgent: "kubelet" });
    const nodes =
      given &&
      (await loadSimulatedNodes()).startSimulatedNodes(
        { version: kubernetesVersion, clock, log, ...given, client: kubelet },
        signal,
      );
    if (nodes) parts.push(nodes.done);
    await nodes?.ready;
    if (nodes && own) await schedulable(own.informers.of("v1/nodes"), nodes.names.length);
    return {
      client,
      clientFor,
      server,
      kubeconfigPath: layout.kubeconfig,
      kubeconfig: readFileSync(layout.kubeconfig, "utf8"),
      nodes,
      runControllers,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Nodes are born with a taint, which the controllers take away once they know them to be ready. */
function schedulable(nodes: Informer<Node>, count: number): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      const free = nodes
        .list()
        .filter(({ spec }) => spec?.podCIDR && !spec.taints?.some(({ key }) => key === notReady));
      if (free.length < count) return;
      queueMicrotask(() => stop());
      resolve();
    };
    const stop = nodes.addHandler({ added: look, updated: look });
  });
}

const notReady = "node.kubernetes.io/not-ready";
