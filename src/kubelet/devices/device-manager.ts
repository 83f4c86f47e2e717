/**
 * Devices of pods: has drivers prepare a pod's claims before it starts and take them back after it ended, and says which CDI devices a container
 * gets and how they are. Follows upstream's DRA manager, its order of writes included: a claim is on disk before a driver hears of it.
 */
import { join } from "node:path";
import type { ContainerStatus, Pod, ResourceClaim, ResourceHealth } from "#api";
import { implicitResourcePrefix, isReservedForPod, podClaimName, whyNotForPod } from "#api";
import type { Clock, Logger } from "#base";
import type { Client } from "#client";
import { type DeepReadonly, isStatusError, quantityValue } from "#machinery";
import type { ContainerSpec, PodView } from "../core/types.ts";
import type { DynamicResource } from "../device-plugins/pod-resources.ts";
import { type PluginHandler, runPluginRegistry } from "../plugins/registry.ts";
import { type ClaimRecord, ClaimRecords, type PreparedDevice } from "./claim-records.ts";
import { type DeviceHealth, type Driver, Drivers } from "./drivers.ts";

export interface DeviceManager {
  /** Rejects with the message of `FailedPrepareDynamicResources`. Does nothing for pods without claims. */
  prepare(pod: PodView): Promise<void>;
  /** Rejects when a driver doesn't take them back; comes again then. */
  unprepare(pod: PodView): Promise<void>;
  /** Names of the CDI devices of a container. */
  cdiDevices(pod: PodView, container: ContainerSpec): readonly string[];
  /** For the pod resources API. */
  claimsOf(pod: PodView, container: ContainerSpec): DynamicResource[];
  /** Adds how the devices of its containers are. */
  withHealth(pod: PodView, statuses: readonly ContainerStatus[]): ContainerStatus[];
  /** Takes back what pods have that aren't here any more. */
  reconcile(pods: ReadonlySet<string>): Promise<void>;
  /** Follows plugins until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

export interface DeviceManagerOptions {
  readonly client: Client;
  readonly nodeName: string;
  /** Of the node: state and sockets are below. */
  readonly folder: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Of other kinds of plugins. */
  readonly handlers?: Readonly<Record<string, PluginHandler>>;
  readonly wipingDelayMs?: number;
  /** What a pod waited for may be there, or its devices are otherwise than before. */
  onChange(podUids: Iterable<string> | "all"): void;
}

interface Claim {
  readonly namespace: string;
  readonly uid: string;
  readonly name: string;
}

interface Answers<T> {
  readonly claims: Readonly<Record<string, T & { readonly error: string }>>;
}

interface Preparing {
  readonly devices: readonly {
    readonly poolName: string;
    readonly deviceName: string;
    readonly shareId?: string;
    readonly requestNames: readonly string[];
    readonly cdiDeviceIds: readonly string[];
  }[];
}

const healthMsDefault = 30_000;
const healthMessageMax = 1024;
const healthTexts = { HEALTHY: "Healthy", UNHEALTHY: "Unhealthy", UNKNOWN: "Unknown" } as const;

/** Names of a pod's claims, that of its extended resources last; throws while one isn't there. */
function claimNames(pod: PodView): { name: string; isOwn: boolean }[] {
  const names = (pod.spec?.resourceClaims ?? []).flatMap((claim) => {
    const found = podClaimName(pod as Pod, claim);
    if ("missing" in found) throw new Error(found.missing);
    return found.name === undefined ? [] : [{ name: found.name, isOwn: found.isOwn }];
  });
  const extended = pod.status?.extendedResourceClaimStatus?.resourceClaimName;
  return extended === undefined ? names : [...names, { name: extended, isOwn: false }];
}

export const hasDevices = ({ spec, status }: PodView): boolean =>
  (spec?.resourceClaims?.length ?? 0) > 0 || status?.extendedResourceClaimStatus !== undefined;

export async function createDeviceManager(options: DeviceManagerOptions): Promise<DeviceManager> {
  const { client, folder, clock, log, onChange } = options;
  const records = await ClaimRecords.read(join(folder, "dra_manager_state"));
  /** By driver, then `pool/device`. */
  const health = new Map<string, Map<string, DeviceHealth & { readonly at: number }>>();

  const drivers = new Drivers({
    ...options,
    onRegistered: () => onChange("all"),
    onHealth(driver, devices) {
      const before = health.get(driver);
      if (!devices) {
        if (before && before.size > 0) onChange(usersOf(driver));
        health.delete(driver);
        return;
      }
      const known = before ?? new Map();
      health.set(driver, known);
      let isChanged = false;
      for (const each of devices) {
        const key = `${each.device.poolName}/${each.device.deviceName}`;
        const old = known.get(key);
        isChanged ||= old?.health !== each.health || old.message !== each.message;
        known.set(key, { ...each, at: clock.now() });
      }
      if (isChanged) onChange(usersOf(driver));
    },
  });

  function usersOf(driver: string): Set<string> {
    const users = new Set<string>();
    for (const { DriverState, PodUIDs } of records.all())
      if (DriverState[driver]) for (const uid of Object.keys(PodUIDs)) users.add(uid);
    return users;
  }

  async function readClaim(pod: PodView, { name, isOwn }: { name: string; isOwn: boolean }) {
    const { namespace = "", name: podName, uid } = pod.metadata;
    let claim: DeepReadonly<ResourceClaim>;
    try {
      claim = await client.resource("resource.k8s.io/v1/resourceclaims", namespace).get(name);
    } catch (error) {
      const text = isStatusError(error) || error instanceof Error ? error.message : String(error);
      throw new Error(`fetch ResourceClaim ${name}: ${text}`, { cause: error });
    }
    const complaint = isOwn ? whyNotForPod(pod as Pod, claim) : undefined;
    if (complaint) throw new Error(complaint);
    if (!isReservedForPod(pod as Pod, claim))
      throw new Error(`pod ${podName} (${uid}) is not allowed to use ResourceClaim ${name} (${claim.metadata.uid})`);
    if (!claim.status?.allocation) throw new Error(`ResourceClaim ${name}: not allocated`);
    const results = claim.status.allocation.devices?.results ?? [];
    return { claim, drivers: new Map(results.map(({ driver }) => [driver, drivers.get(driver)])) };
  }

  async function prepare(pod: PodView): Promise<void> {
    const { namespace = "", uid: podUid = "" } = pod.metadata;
    const found = await Promise.all(claimNames(pod).map((each) => readClaim(pod, each)));
    const batches = new Map<string, { driver: Driver; claims: Claim[] }>();
    const open: ClaimRecord[] = [];
    for (const { claim, drivers: needed } of found) {
      const { name = "", uid = "" } = claim.metadata;
      let record = records.get(`${namespace}/${name}`);
      if (record && record.ClaimUID !== uid)
        throw new Error(
          `old ResourceClaim with same name ${name} and different UID ${record.ClaimUID} still exists (previous pod force-deleted?!)`,
        );
      if (!record) {
        const DriverState = Object.fromEntries([...needed.keys()].map((driver) => [driver, { Devices: null }]));
        record = { ClaimUID: uid, ClaimName: name, Namespace: namespace, PodUIDs: {}, DriverState };
        records.add(record);
      }
      record.PodUIDs[podUid] = {};
      if (record.isPrepared) continue;
      open.push(record);
      for (const [driverName, driver] of needed) {
        const batch = batches.get(driverName) ?? { driver, claims: [] };
        batch.claims.push({ namespace, uid, name });
        batches.set(driverName, batch);
      }
    }
    await records.save();
    if (open.length === 0) return;
    for (const { driver, claims } of batches.values()) {
      const answers = await ask<Preparing>(driver, "NodePrepareResources", claims);
      for (const [claim, { devices }] of answers) {
        const record = records.get(`${namespace}/${claim.name}`);
        if (!record)
          throw new Error(
            `internal error: unable to get claim info for ResourceClaim ${claim.name} in namespace ${namespace}`,
          );
        record.DriverState[driver.name] = { Devices: devices.map(toRecord) };
      }
    }
    for (const record of open) record.isPrepared = true;
    await records.save();
  }

  async function ask<T>(
    driver: Driver,
    method: "NodePrepareResources" | "NodeUnprepareResources",
    claims: readonly Claim[],
  ): Promise<(readonly [Claim, T])[]> {
    let answers: Answers<T>;
    try {
      answers = await driver.call<Answers<T>>(method, { claims });
    } catch (error) {
      throw new Error(`${method}: ${(error as Error).message}`, { cause: error }); // calls fail with errors
    }
    const given = Object.entries(answers.claims);
    const pairs = given.map(([uid, answer]) => {
      const claim = claims.find((each) => each.uid === uid);
      if (!claim) throw new Error(`${method} returned result for unknown claim UID ${uid}`);
      if (answer.error) throw new Error(`${method} failed for ResourceClaim ${claim.name}: ${answer.error}`);
      return [claim, answer as T] as const;
    });
    if (given.length < claims.length)
      throw new Error(`${method} skipped ${claims.length - given.length} ResourceClaims`);
    return pairs;
  }

  async function unprepareAll(podUid: string, keys: readonly string[]): Promise<void> {
    const batches = new Map<string, Claim[]>();
    const done: string[] = [];
    let isChanged = false;
    for (const key of keys) {
      const record = records.get(key);
      if (!record) continue;
      if (Object.keys(record.PodUIDs).length > 1) {
        delete record.PodUIDs[podUid];
        isChanged = true;
        continue;
      }
      done.push(key);
      const { Namespace: namespace, ClaimUID: uid, ClaimName: name } = record;
      for (const driver of Object.keys(record.DriverState))
        batches.set(driver, [...(batches.get(driver) ?? []), { namespace, uid, name }]);
    }
    for (const [driver, claims] of batches) await ask(drivers.get(driver), "NodeUnprepareResources", claims);
    for (const key of done) records.delete(key);
    if (isChanged || done.length > 0) await records.save();
  }

  function* devicesOf(key: string, request: string | undefined): Iterable<readonly [string, PreparedDevice]> {
    for (const [driver, { Devices }] of Object.entries(records.get(key)?.DriverState ?? {}))
      for (const device of Devices ?? []) {
        const names = device.RequestNames ?? [];
        if (!request || names.length === 0 || names.includes(request)) yield [driver, device];
      }
  }

  /** By the key of the claim: the requests of it that a container uses, "" for all. */
  function* uses(pod: PodView, container: ContainerSpec): Iterable<readonly [key: string, request: string]> {
    const { namespace } = pod.metadata;
    for (const claim of pod.spec?.resourceClaims ?? []) {
      const found = podClaimName(pod as Pod, claim);
      if ("missing" in found || found.name === undefined) continue;
      for (const { name, request = "" } of container.resources?.claims ?? [])
        if (name === claim.name) yield [`${namespace}/${found.name}`, request];
    }
    const extended = pod.status?.extendedResourceClaimStatus;
    for (const { containerName, resourceName, requestName } of extended?.requestMappings ?? []) {
      const asked = container.resources?.requests?.[resourceName] ?? "0";
      const isDevice = !resourceName.includes("kubernetes.io/") || resourceName.startsWith(implicitResourcePrefix);
      if (containerName === container.name && isDevice && quantityValue(asked) > 0)
        yield [`${namespace}/${extended?.resourceClaimName}`, requestName];
    }
  }

  function healthOf(driver: string, device: PreparedDevice): ResourceHealth {
    const place = `${device.PoolName}/${device.DeviceName}`;
    const known = health.get(driver)?.get(place);
    const limitMs = (known?.healthCheckTimeoutSeconds ?? 0) * 1000 || healthMsDefault;
    const fresh = known && clock.now() - known.at <= limitMs ? known : undefined;
    const message = fresh?.message ?? "";
    return {
      resourceID: device.CDIDeviceIDs?.[0] ?? `${driver}/${place}`,
      health: healthTexts[fresh?.health ?? "UNKNOWN"],
      ...(message
        ? { message: message.length > healthMessageMax ? `${message.slice(0, healthMessageMax - 3)}...` : message }
        : {}),
    };
  }

  return {
    async prepare(pod) {
      if (!hasDevices(pod)) return;
      try {
        await prepare(pod);
      } catch (error) {
        throw new Error(`prepare dynamic resources: ${(error as Error).message}`, { cause: error }); // it throws errors
      }
    },
    async unprepare(pod) {
      if (!hasDevices(pod)) return;
      const { namespace, uid = "" } = pod.metadata;
      const keys = [...records.all()]
        .filter(({ PodUIDs, Namespace }) => Namespace === namespace && PodUIDs[uid])
        .map(({ ClaimName }) => `${namespace}/${ClaimName}`);
      try {
        await unprepareAll(uid, keys);
      } catch (error) {
        throw new Error(`unprepare dynamic resources: ${(error as Error).message}`, { cause: error }); // it throws errors
      }
    },
    cdiDevices(pod, container) {
      if (!hasDevices(pod)) return [];
      const names: string[] = [];
      for (const [key, request] of uses(pod, container)) {
        if (!records.get(key))
          throw new Error(
            `internal error: unable to get claim info for ResourceClaim ${key.split("/")[1]} in namespace ${key.split("/")[0]}`,
          );
        for (const [, device] of devicesOf(key, request)) names.push(...(device.CDIDeviceIDs ?? []));
      }
      return [...new Set(names)];
    },
    claimsOf(pod, container) {
      if (!hasDevices(pod)) return [];
      return [...uses(pod, container)].map(([key, request]) => ({
        claimName: key.slice(key.indexOf("/") + 1),
        claimNamespace: key.slice(0, key.indexOf("/")),
        claimResources: [...devicesOf(key, request)].map(([driverName, device]) => ({
          cdiDevices: (device.CDIDeviceIDs ?? []).map((name) => ({ name })),
          driverName,
          poolName: device.PoolName,
          deviceName: device.DeviceName,
          ...(device.ShareID ? { shareId: device.ShareID } : {}),
        })),
      }));
    },
    withHealth(pod, statuses) {
      if ((pod.spec?.resourceClaims?.length ?? 0) === 0) return [...statuses];
      return statuses.map((status) => {
        const container = pod.spec?.containers.find(({ name }) => name === status.name);
        const found = (container?.resources?.claims ?? []).flatMap(({ name, request }) => {
          const claim = pod.spec?.resourceClaims?.find((each) => each.name === name);
          const known = claim && podClaimName(pod as Pod, claim);
          if (!known || "missing" in known || known.name === undefined) return [];
          const base = request?.split("/")[0];
          const resources = new Map<string, ResourceHealth>();
          for (const [driver, device] of devicesOf(`${pod.metadata.namespace}/${known.name}`, base)) {
            const each = healthOf(driver, device);
            if (!resources.has(each.resourceID)) resources.set(each.resourceID, each);
          }
          if (resources.size === 0) return [];
          return [{ name: `claim:${name}${request ? `/${request}` : ""}`, resources: [...resources.values()] }];
        });
        return found.length > 0 ? { ...status, allocatedResourcesStatus: found } : status;
      });
    },
    async reconcile(pods) {
      const gone = new Map<string, string[]>();
      for (const { PodUIDs, Namespace, ClaimName } of records.all())
        for (const uid of Object.keys(PodUIDs))
          if (!pods.has(uid)) gone.set(uid, [...(gone.get(uid) ?? []), `${Namespace}/${ClaimName}`]);
      for (const [uid, keys] of gone)
        await unprepareAll(uid, keys).catch((error: unknown) =>
          log.info("devices of a pod that is gone could not be taken back, will retry", { pod: uid, error }),
        );
    },
    async run(signal) {
      try {
        void drivers.wipeAll();
        await runPluginRegistry(
          {
            folder: join(folder, "plugins_registry"),
            handlers: { ...options.handlers, DRAPlugin: drivers },
            clock,
            log,
          },
          signal,
        );
      } finally {
        drivers.close();
      }
    },
  };
}

const toRecord = (device: Preparing["devices"][number]): PreparedDevice => ({
  PoolName: device.poolName,
  DeviceName: device.deviceName,
  ...(device.shareId ? { ShareID: device.shareId } : {}),
  RequestNames: device.requestNames,
  CDIDeviceIDs: device.cdiDeviceIds,
});
