/**
 * One node: makes the pods that the API assigns to it run, and tells how they and the node itself are. This file only puts the parts
 * together; a pod's life is in pods/, its rules in core/.
 */
import { mkdir } from "node:fs/promises";
import { localPathFolderAnnotation } from "#api";
import { createEventRecorder, createInformers, delay } from "#client";
import type { KubeletConfiguration } from "./config/configuration.ts";
import { runningPid } from "./containerd.ts";
import { cdiFolders, knowsCdi } from "./devices/cdi.ts";
import { unitsOf } from "./core/quantity.ts";
import { createDeviceManager, type DeviceManager, hasDevices } from "./devices/device-manager.ts";
import { createNodeEviction } from "./eviction/node-eviction.ts";
import { warnOfSearches } from "./resolver-check.ts";
import { createHost, type KubeletHost } from "./host.ts";
import { createNodeImages } from "./images/node-images.ts";
import { watchImageFolder } from "./images/watch-folder.ts";
import { rotateLogs } from "./logs/rotate.ts";
import { createNodeMeters, meterObserver } from "./metrics/node-meters.ts";
import { thermalPaths } from "./node/thermal-paths.ts";
import { readDisk } from "./node/machine.ts";
import { createNodeAgent, type NodeAgent } from "./node/node-agent.ts";
import { nodeStatus } from "./node/node-status.ts";
import { configurationOf, type KubeletDependencies, type KubeletOptions } from "./options.ts";
import { type PodContext, recordEvent } from "./pods/context.ts";
import { createUserRanges } from "./pods/user-namespaces.ts";
import { createPodManager, type PodManager } from "./pods/pod-manager.ts";
import { createProber } from "./probes/prober.ts";
import { createRuntimeHealth, type RuntimeHealth } from "./runtime/health.ts";
import { createObserver } from "./runtime/observe.ts";
import { checkReservations, type NodeAmounts, nodeAmounts } from "./resources/amounts.ts";
import { prepareGroups } from "./resources/enforce.ts";
import { createNodeResources } from "./resources/node-resources.ts";
import { createResizes } from "./resources/resizes.ts";
import { watchRuntime } from "./runtime/watch.ts";
import { createNodeStats, type NodeStats } from "./stats/node-stats.ts";
import { createShutdown } from "./shutdown/shutdown.ts";
import { createStaticPods } from "./static/static-pods.ts";
import { type PreparedNode, prepareNode } from "./prepare-node.ts";
import { nodeFolders, setUpPodNetwork } from "./runtime-setup.ts";
import { createImageVolumes } from "./volumes/image-volumes.ts";
import { nodeLayout } from "./volumes/layout.ts";
import { followRemovals } from "./volumes/local-path.ts";
import { createVolumeManager } from "./volumes/manager.ts";
import { createVolumePlugins } from "./volumes/plugins.ts";
import { createObjectCache } from "./volumes/object-cache.ts";
import { createTokenSource } from "./volumes/tokens.ts";

export interface Kubelet {
  readonly config: Readonly<KubeletConfiguration>;
  /** The node's own files. */
  readonly folder: string;
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
/** Of somebody else's plugin, which may take until tomorrow. */
const foreignNetworkLookMs = 1000;

interface NetworkWait {
  readonly health: RuntimeHealth;
  readonly agent: NodeAgent;
  readonly isLate: boolean;
  readonly managesNetwork: boolean;
}

/** Upstream's period. */
const devicesLookMs = 60_000;

/** `prepared`: by who had time for it before there was an API server. */
export function createKubelet(
  options: KubeletOptions,
  dependencies: KubeletDependencies & { readonly prepared?: Promise<PreparedNode> | undefined },
): Kubelet {
  const { client, clock, log, podStarts, prepared } = dependencies;
  const { nodeName } = options;
  const config = configurationOf(options);
  const folders = nodeFolders(options);
  const readiness = Promise.withResolvers<void>();
  // Whoever runs the node hears of a failure from run().
  readiness.promise.catch(() => undefined);
  let host: KubeletHost | undefined;
  let stats: NodeStats | undefined;

  async function run(signal: AbortSignal): Promise<void> {
    const { machine, cgroups, resolvConf, addresses, runtime, managesNetwork } = await (prepared ??
      prepareNode(options, log));
    const layout = nodeLayout({ root: folders.kubelet, logs: folders.logs });
    await mkdir(layout.containerLogs, { recursive: true, mode: 0o755 });
    const informers = createInformers(client, { clock, log });
    const pods = informers.of("v1/pods", { fieldSelector: `spec.nodeName=${nodeName}` });
    const { cri, metrics } = createNodeMeters(runtime.cri, { pods, clock, podOf: (uid) => manager?.byUid(uid)?.pod() });
    const services = informers.of("v1/services");
    const nodes = informers.of("v1/nodes", { fieldSelector: `metadata.name=${nodeName}` });
    const recorder = createEventRecorder({ client, component: "kubelet", host: nodeName, clock, log });
    const observer = meterObserver(createObserver(cri, clock), { metrics, clock });
    const health = createRuntimeHealth(runtime, { clock, log, observer });
    const { maxPods } = config;
    const { capacityBytes: diskBytes } = await readDisk(folders.kubelet);
    const amounts = (): NodeAmounts => nodeAmounts({ machine, diskBytes, config, devices: resources.amounts() });
    checkReservations({ machine, diskBytes, config });

    let manager: PodManager | undefined;
    const objects = createObjectCache({ client, clock, log, onChange: (uid) => manager?.byUid(uid)?.sourcesChanged() });
    const tokens = createTokenSource(client, clock);
    const prober = createProber({
      cri,
      clock,
      meter: metrics.prober,
      onTurn: (uid) => manager?.byUid(uid)?.probeTurned(),
      event: (pod, container, event) => recordEvent({ recorder }, pod, { type: "Warning", ...event, container }),
    });
    const stopped = new AbortController();
    const life = AbortSignal.any([signal, stopped.signal]);
    const volumePlugins = createVolumePlugins({
      ...{ client, informers, clock, log, recorder, config, nodeName, nodes, layout, tokens },
      folder: folders.kubelet,
      signal: life,
      workers: () => manager?.workers() ?? [],
      statusChanged: () => agent.changed(),
    });
    const resources = await createNodeResources({
      ...{ config, machine, cgroups, cri, clock, log },
      folder: folders.kubelet,
      allocatable: () => amounts().allocatable,
    });
    const devices = await createDeviceManager({
      client,
      nodeName,
      folder: folders.kubelet,
      clock,
      log,
      handlers: { ...volumePlugins.registrations, DevicePlugin: resources.pluginHandler },
      onChange: (uids) => {
        for (const worker of manager?.workers() ?? [])
          if (uids === "all" ? hasDevices(worker.pod()) : new Set(uids).has(worker.uid)) worker.sourcesChanged();
      },
    });
    const nodeEvent = (type: "Normal" | "Warning", reason: string, message: string) =>
      recorder.event(
        { apiVersion: "v1", kind: "Node", metadata: { name: nodeName, uid: nodeName } },
        { type, reason, message },
      );
    if (resolvConf !== "") await warnOfSearches(resolvConf, config.clusterDomain, nodeEvent);
    const { images, gc: imageGc } = await createNodeImages({
      runtime,
      client,
      config,
      credentialProvider: options.imageCredentialProvider,
      folder: folders.kubelet,
      pods: () => [...(manager?.workers() ?? [])].map((worker) => worker.pod()),
      event: nodeEvent,
      clock,
      log,
    });
    const imageVolumes = createImageVolumes({ images, cri, runtime, layout });
    const context: PodContext = {
      config,
      client,
      clock,
      podStarts,
      log,
      recorder,
      cri,
      runtimeName: runtime.name,
      observer,
      metrics,
      images,
      volumes: createVolumeManager({
        client,
        layout,
        localFolder: folders.localPath,
        objects,
        tokens,
        memoryBytes: unitsOf(amounts().allocatable.memory),
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
        event: nodeEvent,
        allowedSysctls: config.allowedUnsafeSysctls,
        memoryBytes: machine.memoryBytes,
        thermalPaths: thermalPaths(),
        abilities: runtime.abilities,
        hostIPs: () => addresses,
        allocatable: () => amounts().allocatable,
      },
    };
    const statics = createStaticPods({
      ...{ config, nodeName, client, clock, log, recorder },
      nodes,
      whyNoNetwork: async () => (await health.look()).problems.find((problem) => problem.includes("network not ready")),
      start: (pod, writer) => podManager.startStatic(pod, writer),
      end: (uid) => podManager.endStatic(uid),
    });
    const podManager: PodManager = createPodManager({
      context,
      pods,
      nodes,
      maxPods,
      statics,
      refuse: (pod) => shutdown.refuse() ?? eviction.refuse(pod),
      onPodsChanged: (active) => void cgroups.balance(active),
    });
    manager = podManager;
    resources.attach({
      pods: () =>
        [...podManager.workers()].flatMap((worker) =>
          worker.stage() === "ended" ? [] : [{ pod: worker.pod(), runtime: worker.runtime() }],
        ),
      onHealth: (uids) => uids.forEach((uid) => void podManager.byUid(uid)?.sourcesChanged()),
      onAmounts: () => agent.changed(),
      claimsOf: (pod, container) => devices.claimsOf(pod, container),
    });
    const onDisk = { rootDir: folders.kubelet, layout, mounted: context.volumes.mounted };
    const eviction = createNodeEviction({
      ...context,
      ...onDisk,
      nodeName,
      memoryBytes: machine.memoryBytes,
      pods: podManager,
      metrics,
      removeImages: () => imageGc.collect({ all: true }),
      onConditions: () => agent.changed(),
    });

    const shutdown = await createShutdown(config, {
      ...{ clock, log, folder: folders.kubelet, event: nodeEvent },
      workers: () => podManager.workers(),
      onChange: () => agent.changed(),
    });

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
        providerID: config.providerID,
        isAttachControlled: config.enableControllerAttachDetach,
      },
      config,
      shown: () => nodes.get(nodeName),
      async status(old) {
        const [disk, { problems, images }] = await Promise.all([readDisk(folders.kubelet), health.look()]);
        return nodeStatus(old, {
          machine,
          addresses,
          nodeName,
          amounts: amounts(),
          kubeletVersion: options.version,
          runtimeVersion: `${runtime.name}://${runtime.version}`,
          port: config.enableServer ? config.port : 0,
          disk,
          pressures: eviction.conditions(),
          problems: [...problems, ...shutdown.problems()],
          images,
          imagesMax: config.nodeStatusMaxImages,
          abilities: runtime.abilities(),
          volumesInUse: await volumePlugins.volumesInUse(old),
          now: clock.now(),
        });
      },
    });

    const stopRemovals = followRemovals(nodes, { client, folder: folders.localPath, log });
    // The node's own pods don't wait for the API server: it may be one of them.
    const adopted = Promise.all([
      context.volumes.prepare(),
      prepareGroups(cgroups, { machine, diskBytes, config, event: nodeEvent }),
    ]).then(() => podManager.adopt());
    const work = [
      adopted.then(() => statics.run(life)),
      informers.run(life),
      agent.run(life),
      imageGc.run(life),
      eviction.run(life),
      shutdown.run(life),
      rotateLogs(
        {
          config,
          runtimes: () => [...podManager.workers()].map((worker) => worker.runtime()),
          reopen: async (containerId) => void (await cri.runtime.reopenContainerLog({ containerId })),
          clock,
          log,
        },
        life,
      ),
      devices.run(life),
      resources.run(life),
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
          const isLate = managesNetwork && !options.podCidrs?.length;
          if (isLate) await networkFromNode(agent);
          await podManager.start();
          host = createHost({ nodeName, cri, pods: podManager });
          const runtimePid = async () => (runtime.store ? runningPid(folders.containerd) : undefined);
          const servesContainerInfo = options.cadvisorJsonEndpoints ?? false;
          stats = createNodeStats({
            ...onDisk,
            servesContainerInfo,
            nodeName,
            host,
            cri,
            cgroups,
            machine,
            metrics,
            runtimePid,
            clock,
          });
          const connected = whenNetworkReady({ health, agent, isLate, managesNetwork }, life);
          // Whoever brings the network may come as pods of this very node.
          if (managesNetwork) await connected;
          readiness.resolve();
          await volumePlugins.start();
          await Promise.all([...work, connected]);
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

  /** Of pods that went while this process didn't run; what drivers refuse is tried again. */
  async function takeBackDevices(devices: DeviceManager, pods: PodManager, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await delay(clock, devicesLookMs, signal);
      if (host && !signal.aborted) await devices.reconcile(new Set([...pods.workers()].map(({ uid }) => uid)));
    }
  }

  /** The runtime reads its network configuration a moment after it is written; the node is not ready before. `isLate`: it said so. */
  async function whenNetworkReady(
    { health, agent, isLate, managesNetwork }: NetworkWait,
    signal: AbortSignal,
  ): Promise<void> {
    await agent.registered();
    let waited = isLate;
    while (!signal.aborted && (await health.look()).problems.length > 0) {
      waited = true;
      await delay(clock, managesNetwork ? networkLookMs : foreignNetworkLookMs, signal);
    }
    if (waited) agent.changed();
  }

  return {
    config,
    folder: folders.kubelet,
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
