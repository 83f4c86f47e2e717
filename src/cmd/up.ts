/** `sampan up`: a whole cluster on this machine, in one process. */
import { spawn } from "node:child_process";
import { closeSync, existsSync, openSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { hostname, networkInterfaces } from "node:os";
import {
  createLogger,
  type FlagSpecs,
  type FlagValues,
  type Logger,
  type LogLevel,
  MetricRegistry,
  realClock,
} from "#base";
import { assess, printFindings } from "#cli";
import { type Client, createInformers } from "#client";
import { createControllers } from "#controllers";
import { createScheduler } from "#scheduler";
import { checkAddresses } from "./addresses.ts";
import { apiFlags, readApiFlags } from "./api-flags.ts";
import { serveInside } from "./component-server.ts";
import { CommandError, defineCommand, type Invocation } from "./command.ts";
import { type ControlPlane, startControlPlane } from "./control-plane.ts";
import { isRunning, readInstance, storeHolder, writeInstance } from "./instance.ts";
import { writeAdminKubeconfig } from "./kubeconfig-file.ts";
import { gatherMachineFacts } from "./machine.ts";
import { addressIn, bridgeName, type NodeNetwork, prepareNodeNetwork, subnetOf } from "./network.ts";
import { kubeletTls } from "./kubelet-certificate.ts";
import { startNode } from "./node.ts";
import { explainFailure } from "./operational-error.ts";
import { createProgress, type Progress } from "./progress.ts";
import { ipv4Range, withServiceRanges } from "./service-flags.ts";
import { dataLayout, placeFlags } from "./settings.ts";
import { kubernetesVersion } from "./version.ts";

const flags = {
  ...placeFlags,
  ...apiFlags,
  detach: { type: "bool", short: "d", help: "Go on in the background once the cluster is ready." },
} as const satisfies FlagSpecs;
type Values = FlagValues<typeof flags>;

/** Where in the service range the cluster's DNS is, as kubeadm does. */
const dnsOffset = 10;

export const command = defineCommand({
  summary: "Run a cluster on this machine",
  flags,
  run: (invocation) => (invocation.flags.detach ? runInBackground(invocation) : runHere(invocation)),
});

async function runHere({ flags: given, out, err, signal }: Invocation<typeof flags>): Promise<number> {
  const values = withServiceRanges(given);
  const startedAt = Date.now() - Math.round(performance.now());
  const progress = createProgress({ out, isTerminal: process.stdout.isTTY === true, startedAt });
  const log = createLogger({ write: err, level: values["log-level"] as LogLevel }); // one of the flag's choices
  const layout = dataLayout(values["data-dir"]);
  const nodeName = values["node-name"] ?? hostname().toLowerCase();
  checkPlace(values, nodeName);
  const apiOptions = await readApiFlags(values, log);
  await refuseSecond(layout);
  await preflight(values);
  await mkdir(layout.root, { recursive: true, mode: 0o700 });
  const network = await prepareNodeNetwork({
    bridge: bridgeName,
    owner: layout.root,
    podCidr: subnetOf(values["cluster-cidr"], 0),
    serviceCidr: ipv4Range(values["service-cidr"]),
    nodeAddress: values["node-ip"],
  });
  const endpoint = values["container-runtime-endpoint"];
  await writeInstance(layout.pidFile, {
    port: values["secure-port"],
    nodeName,
    bridge: bridgeName,
    ...(endpoint ? { runtimeEndpoint: endpoint } : {}),
  });
  // Ends everything: a signal, or a part that can't go on.
  const stop = new AbortController();
  const life = AbortSignal.any([signal, stop.signal]);
  const parts = new Parts(stop);
  let plane: ControlPlane | undefined;
  try {
    plane = await startControlPlane({
      layout,
      serviceCidr: values["service-cidr"],
      clusterDomain: values["cluster-domain"],
      bindAddress: values["bind-address"],
      port: values["secure-port"],
      advertiseAddress: network.nodeAddress,
      ...apiOptions,
      clock: realClock,
      log,
    });
    await writeAdminKubeconfig(layout.kubeconfig, { server: `https://127.0.0.1:${plane.port}`, pki: plane.pki });
    progress.step(`API server on https://${network.nodeAddress}:${plane.port}`);
    startLoops(plane, { values, log }, { parts, signal: life });
    const node = startNode(nodeOptions(plane, { values, network, nodeName, log }), life);
    for (const [name, running] of Object.entries(node.parts)) parts.add(name, running);
    progress.step(
      `controllers, scheduler and node ${nodeName} (${network.nodeAddress}, pods ${network.podCidr}) started`,
    );
    await waitReady(
      progress,
      Promise.race([
        node.kubelet.ready().then(
          () => nodeReady(plane, nodeName, life),
          () => parts.failed, // its run says what happened
        ),
        parts.failed,
      ]),
    );
    progress.step(`ready in ${progress.seconds()} s; export KUBECONFIG=${layout.kubeconfig}`);
    process.send?.("ready");
    await parts.ended(life);
    progress.step("stopping; pods go on, `sampan down` ends them too");
  } finally {
    stop.abort();
    await parts.settled();
    await plane?.close();
    // The pid file stays: `down` learns from it whose runtime the pods are in. Its process is known to be gone.
  }
  return 0;
}

const waitReady = (progress: Progress, ready: Promise<void>) => progress.waitFor("waiting for the node", ready);

/** What runs until the end, by name, so that a failure says whose it is. */
class Parts {
  readonly #running = new Map<string, Promise<void>>();
  readonly #failure = Promise.withResolvers<never>();
  readonly #stop: AbortController;

  constructor(stop: AbortController) {
    this.#stop = stop;
    this.#failure.promise.catch(() => undefined); // whoever waits hears of it
  }

  add(name: string, running: Promise<void>): void {
    this.#running.set(
      name,
      running.catch((error: unknown) => {
        this.#failure.reject(partFailure(name, error));
        this.#stop.abort();
      }),
    );
  }

  get failed(): Promise<never> {
    return this.#failure.promise;
  }

  /** Resolves when the signal aborts; rejects when a part failed. */
  async ended(signal: AbortSignal): Promise<void> {
    const aborted = new Promise<void>((done) => {
      if (signal.aborted) done();
      signal.addEventListener("abort", () => done(), { once: true });
    });
    await Promise.race([this.failed, aborted]);
  }

  async settled(): Promise<void> {
    await Promise.all(this.#running.values());
  }
}

function partFailure(name: string, error: unknown): CommandError {
  const found = explainFailure(error) ?? (error instanceof Error ? error.message : String(error));
  return new CommandError(`${name}: ${found}`);
}

function startLoops(
  plane: ControlPlane,
  { values, log }: { values: Values; log: Logger },
  { parts, signal }: { parts: Parts; signal: AbortSignal },
): void {
  const manager = plane.client({
    name: "system:kube-controller-manager",
    groups: [],
    userAgent: "kube-controller-manager",
  });
  const informers = createInformers(manager, { clock: realClock, log });
  const managerMetrics = new MetricRegistry();
  const serve = (name: string, port: number, metrics: MetricRegistry, client: Client) => {
    const { authority } = plane.pki;
    const options = { name, metrics, client, clientCa: authority.certificate, profiling: values.profiling };
    parts.add(`${name}'s server`, serveInside(port, { ...options, clock: realClock, log }, signal));
  };
  serve("kube-controller-manager", 10257, managerMetrics, manager);
  const controllers = createControllers({
    informers,
    clientFor: (account) =>
      account === undefined
        ? manager
        : plane.client({
            name: `system:serviceaccount:kube-system:${account}`,
            groups: ["system:serviceaccounts", "system:serviceaccounts:kube-system"],
            userAgent: "kube-controller-manager",
          }),
    clock: realClock,
    log: log.with({ part: "controllers" }),
    metrics: managerMetrics,
    options: {
      clusterCidrs: [values["cluster-cidr"]],
      serviceCidrs: [ipv4Range(values["service-cidr"])],
      rootCa: plane.pki.authority.certificate,
      legacyToken: plane.legacyToken,
      // One server only: what controllers see is what there is, so a namespace need not wait for other servers' caches.
      namespaceDelayMs: 0,
    },
  });
  parts.add("controllers", controllers.run(signal));
  parts.add("informers", informers.run(signal));
  const schedulerClient = plane.client({ name: "system:kube-scheduler", groups: [], userAgent: "kube-scheduler" });
  const schedulerMetrics = new MetricRegistry();
  serve("kube-scheduler", 10259, schedulerMetrics, schedulerClient);
  const schedulerInformers = createInformers(schedulerClient, { clock: realClock, log });
  const scheduler = createScheduler({
    client: schedulerClient,
    informers: schedulerInformers,
    metrics: schedulerMetrics,
    clock: realClock,
    log: log.with({ part: "scheduler" }),
  });
  parts.add("scheduler", scheduler.run(signal));
  parts.add("scheduler's informers", schedulerInformers.run(signal));
}

function nodeOptions(
  plane: ControlPlane,
  { values, network, nodeName, log }: { values: Values; network: NodeNetwork; nodeName: string; log: Logger },
) {
  const layout = dataLayout(values["data-dir"]);
  const dnsAddress = addressIn(ipv4Range(values["service-cidr"]), dnsOffset);
  const endpoint = values["container-runtime-endpoint"];
  return {
    kubelet: {
      nodeName,
      rootDir: layout.node(nodeName),
      version: kubernetesVersion,
      nodeIPs: [network.nodeAddress],
      podCidrs: [network.podCidr],
      clusterDns: [dnsAddress],
      clusterDomain: values["cluster-domain"],
      bridge: network.bridge,
      imagesDir: layout.images,
      ...(endpoint ? { containerRuntimeEndpoint: endpoint } : {}),
    },
    tls: () => kubeletTls(plane.pki, { nodeName, addresses: [network.nodeAddress] }),
    network,
    clusterCidr: values["cluster-cidr"],
    serviceCidr: ipv4Range(values["service-cidr"]),
    clusterDomain: values["cluster-domain"],
    dnsAddress,
    client: {
      kubelet: plane.client({
        name: `system:node:${nodeName}`,
        groups: ["system:nodes"],
        userAgent: "kubelet",
      }),
      proxy: plane.client({ name: "system:kube-proxy", groups: [], userAgent: "kube-proxy" }),
      dns: plane.client({ name: "system:dns", groups: [], userAgent: "dns" }),
      admin: plane.client({ name: "system:apiserver", groups: ["system:masters"], userAgent: "sampan" }),
    },
    clock: realClock,
    log,
  };
}

/** Waits for the condition that `kubectl get nodes` shows. */
async function nodeReady(plane: ControlPlane | undefined, name: string, signal: AbortSignal): Promise<void> {
  if (!plane) return;
  const client = plane.client({ name: "system:apiserver", groups: ["system:masters"], userAgent: "sampan" });
  const stop = new AbortController();
  const informers = createInformers(client);
  const nodes = informers.of("v1/nodes", { fieldSelector: `metadata.name=${name}` });
  const running = informers.run(AbortSignal.any([signal, stop.signal]));
  await new Promise<void>((done) => {
    const look = (node: { status?: { conditions?: readonly { type: string; status: string }[] } }) => {
      if (node.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True")) done();
    };
    nodes.addHandler({ added: look, updated: look });
    signal.addEventListener("abort", () => done(), { once: true });
  });
  stop.abort();
  await running;
}

/** Everything that can be told to be wrong without looking further than this machine's addresses and files. */
function checkPlace(values: Values, nodeName: string): void {
  const addresses = Object.values(networkInterfaces()).flatMap((each = []) => each.map(({ address }) => address));
  checkAddresses({ ...values, "node-name": nodeName }, addresses);
  const endpoint = values["container-runtime-endpoint"];
  const socket = endpoint?.replace(/^unix:\/\//, "");
  if (socket !== undefined && !existsSync(socket))
    throw new CommandError(
      `--container-runtime-endpoint ${endpoint}: there is no such socket; start that runtime, or leave the flag out for a containerd of Sampan's own`,
    );
}

async function refuseSecond(layout: ReturnType<typeof dataLayout>): Promise<void> {
  const other = await readInstance(layout.pidFile);
  const running = other && isRunning(other) ? other : storeHolder(layout);
  if (running)
    throw new CommandError(
      `a sampan (pid ${running.pid}) runs with this data folder already${running === other ? `, on port ${other.port}` : ""}; \`sampan down\` ends it, --data-dir PATH starts another`,
    );
}

async function preflight(values: Values): Promise<void> {
  const facts = await gatherMachineFacts({ dataDirectory: values["data-dir"], port: values["secure-port"] });
  const fatal = assess(facts).filter(({ verdict }) => verdict === "fatal");
  if (fatal.length > 0) throw new CommandError(`this machine can't run a cluster yet:\n${printFindings(fatal)}`);
}

/** Starts the same command again without a terminal and waits until it is ready, or has failed. */
async function runInBackground({ args, flags: values, out }: Invocation<typeof flags>): Promise<number> {
  const layout = dataLayout(values["data-dir"]);
  await refuseSecond(layout);
  await mkdir(layout.root, { recursive: true, mode: 0o700 });
  const rest = args.filter((arg) => !/^(-d|--detach(=true)?)$/.test(arg));
  const log = openSync(layout.log, "a", 0o640);
  const program = process.argv[1] ?? "";
  const child = spawn(process.execPath, [...process.execArgv, program, "up", ...rest], {
    detached: true,
    stdio: ["ignore", log, log, "ipc"],
    env: { ...process.env, SAMPAN_DETACH: "false" },
  });
  closeSync(log);
  const code = await new Promise<number | "ready">((done) => {
    child.on("message", () => done("ready"));
    child.on("exit", (status) => done(status ?? 1));
  });
  if (code !== "ready") throw new CommandError(`the cluster did not start; see ${layout.log}`);
  child.disconnect();
  child.unref();
  out(`ready; pid ${child.pid}, log ${layout.log}; export KUBECONFIG=${layout.kubeconfig}\n`);
  return 0;
}
