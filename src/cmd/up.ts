/** `sampan up`: a whole cluster on this machine, in one process. */
import { spawn } from "node:child_process";
import { closeSync, existsSync, openSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { hostname, networkInterfaces } from "node:os";
import { createLogger, type FlagSpecs, type FlagValues, type Logger, type LogLevel, realClock } from "#base";
import type { NodeUsage } from "#api";
import type { SimulatedUsage } from "#apiserver";
import { type KubeletConfiguration, type KubeletOptions, type PreparedNode, prepareNode } from "#kubelet";
import { assess, printFindings } from "#cli";
import type { ControllerOptions } from "#controllers";
import { addressIn, bridgeName, type NetworkMode, type NodeNetwork, prepareNodeNetwork, subnetOf } from "#network";
import { checkAddresses } from "./addresses.ts";
import { apiFlags, readApiFlags } from "./api-flags.ts";
import { CommandError, defineCommand, type Invocation } from "./command.ts";
import { provideClusterInfo } from "./cluster-info.ts";
import { provideClusterSettings } from "./cluster-settings.ts";
import { type ControlPlane, startControlPlane } from "./control-plane.ts";
import { provideDnsService } from "./dns-service.ts";
import { dnsAddressOf } from "./provide-cluster.ts";
import { controllerFlags, readControllerFlags } from "./controller-flags.ts";
import { provideIngressClass } from "./ingress-class.ts";
import { ingressFlags, readIngressFlags } from "./ingress-flags.ts";
import { isRunning, placesOf, readInstance, storeHolder, writeInstance } from "./instance.ts";
import { kubeletFlags, readKubeletFlags, readNodeLabels, suitOwnMachine } from "./kubelet-flags.ts";
import { keepAdminKubeconfig } from "./kubeconfig-file.ts";
import { provideJoining } from "./joining.ts";
import { startLoops } from "./loops.ts";
import { provideLocalPathClass } from "./local-path-class.ts";
import { gatherMachineFacts } from "./machine.ts";
import { ownServing } from "./kubelet-certificate.ts";
import { runNodeIngress } from "./node-ingress.ts";
import { startNode } from "./node.ts";
import { nodesFlags, ownAddress, readNodesFlags, startSimulated, widened } from "./simulated.ts";
import type { ClusterSettings } from "./node-context.ts";
import { otherNodes } from "./last-node.ts";
import { nodesReady } from "./nodes-ready.ts";
import { Parts } from "./parts.ts";
import { createProgress, type Progress } from "./progress.ts";
import { withServiceRanges } from "./service-flags.ts";
import { readSchedulerFile, schedulerFlags } from "./scheduler-file.ts";
import { dataLayout, networkFlags, nodeProxyFlags, placeFlags } from "./settings.ts";
import { text } from "./flag-spec.ts";
import { kubernetesVersion } from "./version.ts";

const flags = {
  ...placeFlags,
  ...networkFlags,
  ...nodeProxyFlags,
  ...nodesFlags,
  "node-cidr": text("CIDR", "Addresses of nodes, with --nodes (default 172.30.240.0/24)."),
  ...apiFlags,
  ...controllerFlags,
  ...schedulerFlags,
  ...kubeletFlags,
  ...ingressFlags,
  detach: { type: "bool", short: "d", help: "Go on in the background once the cluster is ready." },
} as const satisfies FlagSpecs;
type Values = FlagValues<typeof flags>;

const nodeCidrDefault = "172.30.240.0/24";

export const command = defineCommand({
  summary: "Run a cluster on this machine",
  flags,
  run: (invocation) => (invocation.flags.detach ? runInBackground(invocation) : runHere(invocation)),
});

async function runHere({ flags: given, out, err, signal }: Invocation<typeof flags>): Promise<number> {
  const isSimulated = readNodesFlags(given);
  const asked = given["cluster-cidr"];
  const clusterCidr = asked === placeFlags["cluster-cidr"].default ? widened(asked, given.nodes) : asked;
  const values = withServiceRanges({ ...given, "cluster-cidr": clusterCidr });
  const startedAt = Date.now() - Math.round(performance.now());
  const progress = createProgress({ out, isTerminal: process.stdout.isTTY === true, startedAt });
  const log = createLogger({ write: err, level: values["log-level"] as LogLevel }); // one of the flag's choices
  const layout = dataLayout(values["data-dir"]);
  const nodeName = values["node-name"] ?? hostname().toLowerCase();
  checkPlace(values, nodeName);
  // Ends everything: a signal, or a part that can't go on.
  const stop = new AbortController();
  const life = AbortSignal.any([signal, stop.signal]);
  const apiOptions = await readApiFlags(values, log);
  const controllers = await readControllerFlags(values, { clock: realClock, log, signal: life });
  const scheduler = await readSchedulerFile(values["scheduler-config"]);
  const dnsAddress = dnsAddressOf(values["service-cidr"]);
  const config = await readKubeletFlags(values, {
    clusterDNS: [dnsAddress],
    warn: (message) => log.warn(message),
  });
  suitOwnMachine(config, { hasFile: Boolean(values["kubelet-config"] ?? values["config-dir"]) });
  readNodeLabels(values["node-labels"]);
  const ingress = readIngressFlags(values);
  await refuseSecond(layout);
  if (!isSimulated) await preflight(values);
  await mkdir(layout.root, { recursive: true, mode: 0o700 });
  const hasInner = !isSimulated && values.nodes > 1;
  const inner = hasInner ? await import("./inner-nodes.ts") : undefined;
  const nodeCidr = values["node-cidr"] ?? nodeCidrDefault;
  const mode = values.network as NetworkMode; // one of the flag's choices
  await inner?.prepareInnerNodes({ ...values, cidr: nodeCidr, owner: layout.root });
  const network =
    !isSimulated &&
    (await prepareNodeNetwork({
      bridge: bridgeName,
      owner: layout.root,
      podCidrs: values["cluster-cidr"].split(",").map((cidr) => subnetOf(cidr, 0, nodeBits(cidr, controllers))),
      serviceCidrs: values["service-cidr"].split(","),
      // The others' neighbour, whatever addresses the machine has to the outside.
      nodeAddresses: values["node-ip"]?.split(",") ?? (inner && [addressIn(nodeCidr, 1)]),
      mode,
    }));
  const address = network ? network.nodeAddress : (values["node-ip"]?.split(",")[0] ?? ownAddress());
  await writeInstance(layout.pidFile, {
    port: values["secure-port"],
    nodeName,
    bridge: bridgeName,
    kubelet: placesOf(config),
  });
  // While the API server starts.
  const kubelet = network ? kubeletOptions({ values, network, nodeName, config }) : undefined;
  const prepared = kubelet && prepareNode(kubelet, log.with({ part: "kubelet" }));
  prepared?.catch(() => undefined); // the kubelet's own run says it
  const parts = new Parts(stop);
  let plane: ControlPlane | undefined;
  let nodes: StartedNodes | undefined;
  try {
    plane = await startControlPlane({
      layout,
      serviceCidr: values["service-cidr"],
      clusterDomain: values["cluster-domain"],
      bindAddress: values["bind-address"],
      port: values["secure-port"],
      advertiseAddress: address,
      alsoCalled: values["tls-san"],
      ...apiOptions,
      // Whose pods use what: nodes of this process are asked without a detour.
      resourceMetrics: {
        usage: (name) => (nodes?.names.includes(name) ? nodes.usage?.() : undefined),
        simulated: () => nodes?.simulated,
      },
      clock: realClock,
      log,
    });
    await keepAdminKubeconfig(plane, { file: layout.kubeconfig, server: `https://127.0.0.1:${plane.port}`, log });
    progress.step(`API server on ${serverAt(address, plane.port)}`);
    const admin = plane.client({ name: "system:apiserver", groups: ["system:masters"], userAgent: "sampan" });
    await Promise.all([provideLocalPathClass(admin), provideIngressClass(admin), provideDnsService(admin, dnsAddress)]);
    const { certificate: authority } = plane.pki.authority;
    await provideClusterInfo(admin, { server: serverAt(address, plane.port), authority });
    const options = network ? { ...controllers, fixedPodCidrs: new Map([[nodeName, network.podCidrs]]) } : controllers;
    startLoops(plane, { values, log, options, scheduler }, { parts, signal: life });
    const settings = {
      clusterCidr: values["cluster-cidr"],
      serviceCidr: values["service-cidr"],
      clusterDomain: values["cluster-domain"],
      dnsAddress,
      network: mode,
    };
    nodes =
      network && kubelet && prepared
        ? startRealNode(
            nodeOptions(plane, { kubelet, prepared, network, settings, proxyMode: values["proxy-mode"], log }),
            parts,
            life,
          )
        : await startSimulatedParts(plane, { values, log }, parts, life);
    if (network) {
      parts.add(
        "ingress",
        runNodeIngress({ ...ingress, ...ingressOptions(plane, { values, network, nodeName, log }) }, life),
      );
    }
    const joining = () => Promise.all([provideJoining(admin), provideClusterSettings(admin, settings)]);
    let others: Promise<void> | undefined;
    if (inner) {
      await joining();
      const server = serverAt(address, plane.port);
      others = inner.startInnerNodes(
        { values, layout, nodeName, cidr: nodeCidr, server, authority, config, admin, err, log },
        parts,
        life,
      );
    }
    const { ready } = nodes;
    const names = inner ? [...nodes.names, ...inner.innerNames(nodeName, values.nodes)] : nodes.names;
    const where = network
      ? `${network.nodeAddress}, pods ${network.podCidrs.join(", ")}`
      : `simulated, pods ${clusterCidr}`;
    const what = names.length === 1 ? `node ${names[0]}` : `${names.length} nodes`;
    progress.step(`controllers, scheduler and ${what} (${where}) started`);
    const all = Promise.all([ready, others]).then(
      // Who connects pods comes as pods, when somebody says so.
      () => (mode === "none" ? undefined : nodesReady(plane, names, life)),
      () => parts.failed, // its run says what happened
    );
    await waitReady(progress, Promise.race([all, parts.failed]));
    progress.step(`ready in ${progress.seconds()} s; export KUBECONFIG=${layout.kubeconfig}`);
    process.send?.("ready");
    // Machines join later, if ever: nobody waits for it.
    if (!inner) await joining();
    const gone = await otherNodes(layout, names);
    if (gone.length > 0)
      await (await import("./inner-nodes.ts")).removeOtherNodes(gone, {
        admin,
        layout,
        logLevel: values["log-level"],
        log,
      });
    await parts.ended(life);
    progress.step("stopping; pods go on, `sampan down` ends them too");
  } finally {
    stop.abort();
    await parts.settled();
    await plane?.close();
    if (!nodes && prepared) await endPrepared(prepared);
    // The pid file stays: `down` learns from it whose runtime the pods are in. Its process is known to be gone.
  }
  return 0;
}

/** There was no API server to run a node for. */
async function endPrepared(prepared: Promise<PreparedNode>): Promise<void> {
  const { runtime } = await prepared;
  if (!runtime.adopted) await runtime.stop();
}

const serverAt = (address: string, port: number) =>
  `https://${address.includes(":") ? `[${address}]` : address}:${port}`;

/** Of a node's share of this range. */
const nodeBits = (cidr: string, { nodeMasks }: ControllerOptions) =>
  cidr.includes(":") ? nodeMasks?.ipv6 : nodeMasks?.ipv4;

interface StartedNodes {
  readonly names: readonly string[];
  readonly ready: Promise<void>;
  /** Of the one real node; undefined: not ready. */
  usage?(): Promise<NodeUsage> | undefined;
  readonly simulated?: SimulatedUsage;
}

function startRealNode(options: ReturnType<typeof nodeOptions>, parts: Parts, signal: AbortSignal): StartedNodes {
  const node = startNode(options, signal);
  for (const [name, running] of Object.entries(node.parts)) parts.add(name, running);
  const { kubelet } = node;
  let isReady = false;
  const ready = kubelet.ready().then(() => {
    isReady = true;
  });
  const usage = () => (isReady ? kubelet.stats().usage() : undefined);
  return { names: [options.kubelet.nodeName], ready, usage };
}

async function startSimulatedParts(
  plane: ControlPlane,
  { values, log }: { values: Values; log: Logger },
  parts: Parts,
  signal: AbortSignal,
): Promise<StartedNodes> {
  // One speaks for all of them.
  const client = plane.client({ name: "system:simulated-nodes", groups: ["system:masters"], userAgent: "kubelet" });
  const simulated = await startSimulated(values, { client, log: log.with({ part: "nodes" }) }, signal);
  const { names, ready, done } = simulated;
  parts.add("simulated nodes", done);
  const known = new Set(names);
  return {
    names,
    ready,
    simulated: { has: (name) => known.has(name), usage: (pod, container) => simulated.usage(pod, container) },
  };
}

const waitReady = (progress: Progress, ready: Promise<void>) => progress.waitFor("waiting for the node", ready);

interface KubeletSettings {
  readonly values: Values;
  readonly network: NodeNetwork;
  readonly nodeName: string;
  readonly config: KubeletConfiguration;
}

interface NodeSettings {
  readonly kubelet: KubeletOptions;
  readonly prepared: Promise<PreparedNode>;
  readonly network: NodeNetwork;
  readonly settings: ClusterSettings;
  readonly proxyMode: string;
  readonly log: Logger;
}

function kubeletOptions({ values, network, nodeName, config }: KubeletSettings): KubeletOptions {
  const layout = dataLayout(values["data-dir"]);
  return {
    nodeName,
    rootDir: layout.node(nodeName),
    version: kubernetesVersion,
    nodeIPs: network.nodeAddresses,
    podCidrs: network.podCidrs,
    mtu: network.mtu,
    bridge: network.bridge,
    ...(network.mode === "none" && { managesNetwork: false }),
    imagesDir: layout.images,
    config,
    cadvisorJsonEndpoints: values["enable-cadvisor-json-endpoints"],
    labels: readNodeLabels(values["node-labels"]),
  };
}

function nodeOptions(plane: ControlPlane, { kubelet, prepared, network, settings, proxyMode, log }: NodeSettings) {
  const { nodeName } = kubelet;
  return {
    kubelet,
    prepared,
    serving: () => ownServing(plane, { nodeName, addresses: network.nodeAddresses, log }),
    network,
    settings,
    proxyMode,
    client: plane.client({ name: `system:node:${nodeName}`, groups: ["system:nodes"], userAgent: "kubelet" }),
    clock: realClock,
    log,
  };
}

function ingressOptions(
  { client, pki, port }: ControlPlane,
  {
    values,
    network,
    nodeName,
    log,
  }: Pick<NodeSettings, "network" | "log"> & { readonly values: Values; readonly nodeName: string },
) {
  const bound = values["bind-address"];
  const host = ["0.0.0.0", "::"].includes(bound) ? "127.0.0.1" : bound.includes(":") ? `[${bound}]` : bound;
  const credentials = async () => {
    const pair = await pki.leaf("ingress", { commonName: "system:ingress", usages: ["client"], validDays: 365 });
    const { certificate: cert, key } = pair;
    return { server: `https://${host}:${port}`, ca: pki.authority.certificate, cert, key };
  };
  const watching = client({ name: "system:ingress", groups: [], userAgent: "sampan-ingress" });
  return { client: watching, credentials, nodeName, addresses: network.nodeAddresses, log };
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
  const fatal = assess(facts).filter(
    // Who brings a network brings its plugins.
    ({ verdict, name }) => verdict === "fatal" && !(values.network === "none" && name === "CNI plugins"),
  );
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
