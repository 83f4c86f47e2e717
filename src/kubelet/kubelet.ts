/**
 * One node: makes the pods that the API assigns to it run, and tells how they and the node itself are. This file only puts the parts
 * together; a pod's life is in pods/, its rules in core/.
 */
import { access, mkdir } from "node:fs/promises";
import { localPathFolderAnnotation } from "#api";
import { createEventRecorder, createInformers, delay } from "#client";
import { quantityValue } from "#machinery";
import { cdiFolders, knowsCdi } from "./devices/cdi.ts";
import { unitsOf } from "./core/quantity.ts";
import { createDeviceManager, type DeviceManager, hasDevices } from "./devices/device-manager.ts";
import { createHost, type KubeletHost } from "./host.ts";
import { createNodeImages } from "./images/node-images.ts";
import { watchImageFolder } from "./images/watch-folder.ts";
import { rotateLog } from "./logs/rotate.ts";
import { defaultRouteAddress } from "./network/node-address.ts";
import { createCgroups } from "./node/cgroups.ts";
import { readDisk, readMachine, readMemory, readProcesses } from "./node/machine.ts";
import { createNodeAgent, type NodeAgent } from "./node/node-agent.ts";
import { allocatableOf, nodeStatus } from "./node/node-status.ts";
import {
  cgroupRootOf,
  configurationOf,
  type KubeletDependencies,
  type KubeletOptions,
  resolvConfPaths,
} from "./options.ts";
import type { PodView } from "./core/types.ts";
import { type PodContext, recordEvent } from "./pods/context.ts";
import { createUserRanges } from "./pods/user-namespaces.ts";
import { createPodManager, type PodManager } from "./pods/pod-manager.ts";
import { createProber } from "./probes/prober.ts";
import { createObserver } from "./runtime/observe.ts";
import { createNodeResources } from "./resources/node-resources.ts";
import { createResizes } from "./resources/resizes.ts";
import { watchRuntime } from "./runtime/watch.ts";
import { createNodeStats, type NodeStats } from "./stats/node-stats.ts";
import { createStaticPods } from "./static/static-pods.ts";
import { type NodeRuntime, nodeFolders, setUpPodNetwork, setUpRuntime } from "./runtime-setup.ts";
import { createImageVolumes } from "./volumes/image-volumes.ts";
import { nodeLayout } from "./volumes/layout.ts";
import { followRemovals } from "./volumes/local-path.ts";
import { createVolumeManager } from "./volumes/manager.ts";
import { createVolumePlugins } from "./volumes/plugins.ts";
import { createObjectCache } from "./volumes/object-cache.ts";
import { createTokenSource } from "./volumes/tokens.ts";

export interface Kubelet {
  /** Works until the signal aborts; containers then go on without it. Rejects when the node can't work at all. */
  run(signal: AbortSignal): Promise<void>;
  /** Resolves when pods are served: the node is registered and the pods that were here are taken over. */
  ready(): Promise<void>;
  /** For the node's HTTPS server; after `ready`. */
  host(): KubeletHost;
  /** What its pods use; after `ready`. */
  stats(): NodeStats;
}

const networkLookMs = 50;
/** Upstream's period. */
const devicesLookMs = 60_000;

export function createKubelet(options: KubeletOptions, { client, clock, log }: KubeletDependencies): Kubelet {
  const { nodeName } = options;
  const config = configurationOf(options);
  const folders = nodeFolders(options);
  const readiness = Promise.withResolvers<void>();
  // Whoever runs the node hears of a failure from run().
  readiness.promise.catch(() => undefined);
  let host: KubeletHost | undefined;
  let stats: NodeStats | undefined;

  async function run(signal: AbortSignal): Promise<void> {
    await mkdir(folders.kubelet, { recursive: true, mode: 0o711 });
    await mkdir(folders.logs, { recursive: true, mode: 0o755 });
    const [machine, cgroups, resolvConf] = await Promise.all([
      readMachine(),
      createCgroups({ root: cgroupRootOf(options), log, config }),
      firstPresent(resolvConfPaths(config.resolvConf)),
    ]);
    const managesNetwork = options.managesNetwork ?? config.containerRuntimeEndpoint === "";
    if (managesNetwork && options.podCidrs?.length) await setUpPodNetwork(options, options.podCidrs);
    const [runtime, addresses] = await Promise.all([setUpRuntime(options, log), nodeAddresses(options)]);
    const { cri } = runtime;

    const layout = nodeLayout({ root: folders.kubelet, logs: folders.logs });
    await mkdir(layout.containerLogs, { recursive: true, mode: 0o755 });
    const informers = createInformers(client, { clock, log });
    const pods = informers.of("v1/pods", { fieldSelector: `spec.nodeName=${nodeName}` });
    const services = informers.of("v1/services");
    const nodes = informers.of("v1/nodes", { fieldSelector: `metadata.name=${nodeName}` });
    const recorder = createEventRecorder({ client, component: "kubelet", host: nodeName, clock, log });
    const observer = createObserver(cri, clock);
    const { maxPods } = config;
    const allocatable = allocatableOf({ machine, maxPods, disk: await readDisk(folders.kubelet) });

    let manager: PodManager | undefined;
    const objects = createObjectCache({ client, clock, log, onChange: (uid) => manager?.byUid(uid)?.sourcesChanged() });
    const tokens = createTokenSource(client, clock);
    const prober = createProber({
      cri,
      clock,
      onTurn: (uid) => manager?.byUid(uid)?.probeTurned(),
      event: (pod, container, event) => recordEvent({ recorder }, pod, { type: "Warning", ...event, container }),
    });
    const stopped = new AbortController();
    const life = AbortSignal.any([signal, stopped.signal]);
    const volumePlugins = createVolumePlugins({
      client,
      informers,
      clock,
      log,
      nodeName,
      nodes,
      folder: folders.kubelet,
      layout,
      tokens,
      syncMs: config.syncFrequency,
      signal: life,
      event: (about, type, reason, message) => recorder.event(about, { type, reason, message }),
      onChange: (uids) => wake((uid) => uids === "all" || new Set(uids).has(uid)),
      statusChanged: () => agent.changed(),
    });
    const wake = (isMeant: (uid: string, pod: PodView) => boolean) => {
      for (const worker of manager?.workers() ?? []) if (isMeant(worker.uid, worker.pod())) worker.sourcesChanged();
    };
    const devices = await createDeviceManager({
      client,
      nodeName,
      folder: folders.kubelet,
      clock,
      log,
      handlers: volumePlugins.registrations,
      onChange: (uids) => wake((uid, pod) => (uids === "all" ? hasDevices(pod) : new Set(uids).has(uid))),
    });
    const { images, gc: imageGc } = await createNodeImages({
      runtime,
      client,
      config,
      credentialProvider: options.imageCredentialProvider,
      folder: folders.kubelet,
      pods: () => [...(manager?.workers() ?? [])].map((worker) => worker.pod()),
      event: (type, reason, message) =>
        recorder.event(
          { apiVersion: "v1", kind: "Node", metadata: { name: nodeName, uid: nodeName } },
          { type, reason, message },
        ),
      clock,
      log,
    });
    const resources = await createNodeResources({ config, machine, cgroups, allocatable: () => allocatable });
    const imageVolumes = createImageVolumes({ images, cri, runtime, layout });
    const context: PodContext = {
      config,
      client,
      clock,
      log,
      recorder,
      cri,
      runtimeName: runtime.name,
      observer,
      images,
      volumes: createVolumeManager({
        client,
        layout,
        localFolder: folders.localPath,
        objects,
        tokens,
        memoryBytes: unitsOf(allocatable.memory),
        images: imageVolumes,
        plugin: volumePlugins.find,
        clock,
        log,
        event: (pod, event) => recordEvent({ recorder }, pod, event),
      }),
      imageVolumes,
      objects,
      tokens,
      prober,
      devices,
      cdiFolders: knowsCdi(runtime) ? undefined : (options.cdiDirs ?? cdiFolders),
      cgroups,
      resources,
      resizes: createResizes({ folder: folders.kubelet, clock, recorder, config, facts: resources.facts }),
      userRanges: createUserRanges({ layout, idsPerPod: config.userNamespaces?.idsPerPod, maxPods }),
      layout,
      services,
      node: {
        name: nodeName,
        clusterDomain: config.clusterDomain,
        clusterDns: config.clusterDNS,
        resolvConf,
        allowedSysctls: config.allowedUnsafeSysctls,
        memoryBytes: machine.memoryBytes,
        abilities: runtime.abilities,
        hostIPs: () => addresses,
        allocatable: () => allocatable,
      },
    };
    const statics = createStaticPods({
      ...{ config, nodeName, client, clock, log, recorder },
      nodeUid: async () => (nodes.get(nodeName) ?? (await agent.registered())).metadata.uid ?? "",
      isNodeGone: () => nodes.hasSynced() && !nodes.get(nodeName),
      start: (pod, writer) => podManager.startStatic(pod, writer),
      end: (uid) => podManager.endStatic(uid),
    });
    const podManager: PodManager = createPodManager({
      context,
      pods,
      nodes,
      maxPods,
      statics,
      onPodsChanged: (active) => void cgroups.balance(active),
    });
    manager = podManager;

    const agent: NodeAgent = createNodeAgent({
      client,
      clock,
      log,
      recorder,
      identity: {
        nodeName,
        machine,
        labels: options.labels ?? {},
        taints: config.registerWithTaints,
        annotations: { [localPathFolderAnnotation]: folders.localPath },
      },
      shown: () => nodes.get(nodeName)?.status,
      async status(old) {
        const [{ availableBytes }, disk, processes, { problems, images }] = await Promise.all([
          readMemory(),
          readDisk(folders.kubelet),
          readProcesses(),
          lookAtRuntime(runtime, log),
        ]);
        return nodeStatus(old, {
          machine,
          addresses,
          nodeName,
          maxPods,
          kubeletVersion: options.version,
          runtimeVersion: `${runtime.name}://${runtime.version}`,
          port: config.enableServer ? config.port : 0,
          disk,
          memoryAvailableBytes: availableBytes,
          processes,
          problems,
          images,
          abilities: runtime.abilities(),
          volumesInUse: await volumePlugins.volumesInUse(old),
          now: clock.now(),
        });
      },
    });

    const stopRemovals = followRemovals(nodes, { client, folder: folders.localPath, log });
    // The node's own pods don't wait for the API server: it may be one of them.
    const adopted = Promise.all([context.volumes.prepare(), cgroups.prepare()]).then(() => podManager.adopt());
    const work = [
      adopted.then(() => statics.run(life)),
      informers.run(life),
      agent.run(life),
      imageGc.run(life),
      rotateLogs(podManager, life),
      devices.run(life),
      takeBackDevices(devices, podManager, life),
      watchRuntime(
        {
          cri,
          endpoint: runtime.endpoint,
          clock,
          log,
          onPod: (uid, ended) => podManager.runtimeChanged(uid, ended),
          onGap: () =>
            void podManager
              .lookAtAll()
              .catch((error: unknown) => log.warn("the runtime could not be looked at", { error })),
          onLost: () =>
            runtime
              .keep()
              .catch((error: unknown) => log.error("the container runtime could not be started again", { error })),
          podOf: (id) => observer.podOf(id),
          isActive: () => podManager.isActive(),
        },
        life,
      ),
      ...(runtime.store && options.imagesDir
        ? [
            watchImageFolder(
              {
                folder: options.imagesDir,
                store: runtime.store,
                marksFile: folders.imported,
                clock,
                log,
                onImport() {
                  agent.changed();
                  // Pods may have waited for just this image.
                  for (const worker of podManager.workers()) worker.sourcesChanged();
                },
              },
              life,
            ),
          ]
        : []),
    ];
    try {
      await Promise.race([
        Promise.all(work),
        (async () => {
          await Promise.all([adopted, services.synced()]);
          if (managesNetwork && !options.podCidrs?.length) await networkFromNode(agent);
          await podManager.start();
          host = createHost({ nodeName, cri, pods: podManager });
          const { memoryBytes } = machine;
          stats = createNodeStats({
            nodeName,
            host,
            cri,
            cgroups,
            layout,
            rootDir: folders.kubelet,
            memoryBytes,
            clock,
          });
          await whenNetworkReady(runtime, agent, life);
          readiness.resolve();
          await volumePlugins.start();
          await Promise.all(work);
        })(),
      ]);
    } finally {
      stopped.abort();
      await Promise.allSettled(work);
      await podManager.close();
      await context.resizes.close();
      await volumePlugins.close();
      objects.close();
      stopRemovals();
      await recorder.close();
      cri.close();
    }

    /** Waits until the controllers gave this node its addresses. */
    async function networkFromNode(of: NodeAgent): Promise<void> {
      const { metadata } = await of.registered();
      const cidrs = () => {
        const { podCIDRs, podCIDR } = nodes.get(metadata.name ?? "")?.spec ?? {};
        return podCIDRs ?? (podCIDR ? [podCIDR] : []);
      };
      while (cidrs().length === 0 && !life.aborted) {
        await new Promise<void>((resolve) => {
          const remove = nodes.addHandler({ added: done, updated: done });
          life.addEventListener("abort", done, { once: true });
          function done(): void {
            if (cidrs().length === 0 && !life.aborted) return;
            queueMicrotask(() => remove());
            resolve();
          }
        });
      }
      if (!life.aborted) await setUpPodNetwork(options, cidrs());
    }
  }

  async function rotateLogs(pods: PodManager, signal: AbortSignal): Promise<void> {
    const bytesMax = quantityValue(config.containerLogMaxSize);
    const filesMax = config.containerLogMaxFiles;
    while (!signal.aborted) {
      await delay(clock, config.containerLogMonitorInterval, signal);
      for (const worker of pods.workers())
        for (const { id, state, logPath } of worker.runtime().containers) {
          if (state !== "running" || !logPath || signal.aborted) continue;
          const reopen = async () => {
            await host?.cri.runtime.reopenContainerLog({ containerId: id });
          };
          await rotateLog(logPath, { bytesMax, filesMax, now: clock.now(), reopen }).catch((error: unknown) =>
            log.warn("a container's log could not be rotated", { path: logPath, error }),
          );
        }
    }
  }

  /** Of pods that went while this process didn't run; what drivers refuse is tried again. */
  async function takeBackDevices(devices: DeviceManager, pods: PodManager, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await delay(clock, devicesLookMs, signal);
      if (host && !signal.aborted) await devices.reconcile(new Set([...pods.workers()].map(({ uid }) => uid)));
    }
  }

  /** The runtime reads its network configuration a moment after it is written; the node is not ready before. */
  async function whenNetworkReady(runtime: NodeRuntime, agent: NodeAgent, signal: AbortSignal): Promise<void> {
    await agent.registered();
    let waited = false;
    while (!signal.aborted && (await lookAtRuntime(runtime, log)).problems.length > 0) {
      waited = true;
      await delay(clock, networkLookMs, signal);
    }
    if (waited) agent.changed();
  }

  return {
    async run(signal) {
      try {
        await run(signal);
      } catch (error) {
        readiness.reject(error);
        throw error;
      }
    },
    ready: () => readiness.promise,
    host() {
      if (!host) throw new Error("the node isn't ready yet");
      return host;
    },
    stats() {
      if (!stats) throw new Error("the node isn't ready yet");
      return stats;
    },
  };
}

/** What is wrong with the runtime, and its images. A private runtime that died is started again. */
async function lookAtRuntime(
  runtime: NodeRuntime,
  log: { warn(message: string, fields?: Record<string, unknown>): void },
) {
  try {
    const [answer, { images }] = await Promise.all([runtime.cri.runtime.status({}), runtime.cri.image.listImages({})]);
    runtime.seen(answer);
    const { status } = answer;
    const problems = (status?.conditions ?? [])
      .filter((condition) => !condition.status)
      .map(({ type, reason, message }) => {
        const what = type === "NetworkReady" ? "container runtime network not ready" : "container runtime not ready";
        return `${what}: ${type}=false reason:${reason} message:${message}`;
      });
    return {
      problems,
      images: images.map(({ repoTags, repoDigests, size }) => ({
        names: [...repoDigests, ...repoTags],
        sizeBytes: size,
      })),
    };
  } catch (error) {
    await runtime
      .keep()
      .catch((failed: unknown) => log.warn("the container runtime could not be started again", { error: failed }));
    return {
      problems: [`container runtime is down: ${error instanceof Error ? error.message : String(error)}`],
      images: [],
    };
  }
}

/** Given, or of the default route. */
async function nodeAddresses(options: KubeletOptions): Promise<readonly string[]> {
  if (options.nodeIPs?.length) return options.nodeIPs;
  const address = await defaultRouteAddress();
  if (address) return [address];
  throw new Error("this node has no address: no interface has a default route; give it one, or name it with --node-ip");
}

async function firstPresent(paths: readonly string[]): Promise<string> {
  for (const path of paths)
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path;
  return paths.at(-1) ?? "";
}
