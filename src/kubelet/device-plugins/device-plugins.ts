/**
 * Devices of plugins (the v1beta1 device plugin API): plugins register by `kubelet.sock` or in the folder of all plugins, tell which devices of a
 * resource there are and how they are, and say what a container that is given some of them needs. Who has what is in a file, as upstream's.
 */
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { ContainerStatus } from "#api";
import type { Clock, Logger } from "#base";
import { unitsOf } from "../core/quantity.ts";
import { podTotal } from "../core/resources.ts";
import { type ContainerSpec, isSidecar, type PodView } from "../core/types.ts";
import type { PluginHandler } from "../plugins/registry.ts";
import { countOf, type Hint, type Hints, maskOf, masksOf, withPreference } from "../resources/topology.ts";
import {
  type ContainerAnswer,
  type GivenDevices,
  readDeviceCheckpoint,
  writeDeviceCheckpoint,
} from "./device-checkpoint.ts";
import { Endpoints, type PluginDevice } from "./endpoints.ts";

export interface DevicePluginsOptions {
  /** Where `kubelet.sock` and the file are. */
  readonly folder: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Of this machine. */
  readonly numaNodes: readonly number[];
  /** Pods that haven't ended: others' devices are free. */
  activePods(): ReadonlySet<string>;
  /** The node has other amounts than before. */
  onAmounts(): void;
  /** Devices of these pods are otherwise than before. */
  onHealth(podUids: ReadonlySet<string>): void;
}

const allocateMs = 60_000;
const preStartMs = 30_000;
const checkpointName = "kubelet_internal_checkpoint";
const noNode = -1;

const nodesOf = (device: PluginDevice | undefined): number[] => (device?.topology?.nodes ?? []).map(({ ID }) => ID);

export class DevicePlugins {
  readonly #options: DevicePluginsOptions;
  readonly #endpoints: Endpoints;
  readonly #devices = new Map<string, ReadonlyMap<string, PluginDevice>>();
  /** Also of resources whose plugin is away: empty then. */
  readonly #healthy = new Map<string, Set<string>>();
  readonly #unhealthy = new Map<string, Set<string>>();
  readonly #gone = new Set<string>();
  #given: GivenDevices[] = [];
  readonly #reusable = new Map<string, Map<string, Set<string>>>();
  #writing: Promise<void> = Promise.resolve();
  readonly handler: PluginHandler;

  constructor(options: DevicePluginsOptions) {
    this.#options = options;
    this.#endpoints = new Endpoints({
      ...options,
      onDevices: (resource, devices) => this.#update(resource, devices),
      onStopped: (resource) => this.#stopped(resource),
      onGone: (resource) => this.#forget(resource),
    });
    this.handler = this.#endpoints.handler;
  }

  /** Reads what was given and takes registrations. */
  async start(): Promise<void> {
    const { folder, log } = this.#options;
    await mkdir(folder, { recursive: true, mode: 0o750 });
    try {
      const known = await readDeviceCheckpoint(join(folder, checkpointName));
      this.#given = [...(known?.given ?? [])];
      for (const resource of Object.keys(known?.registered ?? {})) {
        this.#healthy.set(resource, new Set());
        this.#unhealthy.set(resource, new Set());
        this.#endpoints.expect(resource);
      }
    } catch (error) {
      log.error("what is known of devices may not be up to date", { error });
    }
    for (const name of await readdir(folder)) {
      const path = join(folder, name);
      if ((await stat(path).catch(() => undefined))?.isSocket()) await rm(path, { force: true });
    }
    await this.#endpoints.serve();
  }

  async close(): Promise<void> {
    await this.#endpoints.close();
    await this.#writing;
  }

  #stopped(resource: string): void {
    const unhealthy = this.#unhealthy.get(resource) ?? new Set();
    for (const id of this.#healthy.get(resource) ?? []) unhealthy.add(id);
    this.#unhealthy.set(resource, unhealthy);
    this.#healthy.set(resource, new Set());
    this.#options.onAmounts();
  }

  #forget(resource: string): void {
    this.#healthy.delete(resource);
    this.#unhealthy.delete(resource);
    this.#gone.add(resource);
    void this.#save();
    this.#options.onAmounts();
  }

  #update(resource: string, devices: readonly PluginDevice[]): void {
    this.#gone.delete(resource);
    const before = this.#devices.get(resource);
    const changed = devices.filter(({ ID, health }) => before?.get(ID)?.health !== health).map(({ ID }) => ID);
    this.#devices.set(resource, new Map(devices.map((device) => [device.ID, device])));
    const of = (isHealthy: boolean) =>
      new Set(devices.filter(({ health }) => (health === "Healthy") === isHealthy).map(({ ID }) => ID));
    this.#healthy.set(resource, of(true));
    this.#unhealthy.set(resource, of(false));
    const users = this.#given.filter(
      (each) => each.resource === resource && idsOf(each).some((id) => changed.includes(id)),
    );
    if (users.length > 0) this.#options.onHealth(new Set(users.map(({ podUid }) => podUid)));
    void this.#save();
    this.#options.onAmounts();
  }

  /** For the node's status. */
  amounts(): { capacity: Record<string, string>; allocatable: Record<string, string> } {
    const capacity: Record<string, string> = Object.fromEntries([...this.#gone].map((name) => [name, "0"]));
    const allocatable = { ...capacity };
    for (const [resource, healthy] of this.#healthy) {
      allocatable[resource] = String(healthy.size);
      capacity[resource] = String(healthy.size + (this.#unhealthy.get(resource)?.size ?? 0));
    }
    return { capacity, allocatable };
  }

  /** Of a plugin, now or once: then its containers keep what they have. */
  isKnown(resource: string): boolean {
    return this.#healthy.has(resource) || this.#given.some((each) => each.resource === resource);
  }

  #wantedBy(pod: PodView, { name, resources }: ContainerSpec): [resource: string, count: number][] {
    const claimed = pod.status?.extendedResourceClaimStatus?.requestMappings ?? [];
    return Object.entries(resources?.limits ?? {}).flatMap(([resource, quantity]) => {
      const isClaimed = claimed.some((each) => each.containerName === name && each.resourceName === resource);
      return isClaimed || !this.isKnown(resource) ? [] : [[resource, unitsOf(quantity)]];
    });
  }

  needs(pod: PodView): boolean {
    const all = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])];
    return all.some((container) => this.#wantedBy(pod, container).length > 0);
  }

  #allocated(resource: string): Set<string> {
    return new Set(this.#given.filter((each) => each.resource === resource).flatMap(idsOf));
  }

  #of(podUid: string, container: string, resource: string): GivenDevices | undefined {
    return this.#given.find(
      (each) => each.podUid === podUid && each.container === container && each.resource === resource,
    );
  }

  #takeBack(): void {
    const active = this.#options.activePods();
    this.#given = this.#given.filter(({ podUid }) => active.has(podUid));
    for (const uid of this.#reusable.keys()) if (!active.has(uid)) this.#reusable.delete(uid);
  }

  /** Rejects with why there are none. Init containers' devices are used again by those that start later. */
  async allocate(pod: PodView, container: ContainerSpec, affinity: Hint | undefined): Promise<void> {
    const { uid = "" } = pod.metadata;
    const wanted = this.#wantedBy(pod, container);
    if (wanted.length === 0) return;
    this.#takeBack();
    const reusable = this.#reusable.get(uid) ?? new Map<string, Set<string>>();
    this.#reusable.set(uid, reusable);
    let isNew = false;
    for (const [resource, count] of wanted) {
      const chosen = await this.#choose(uid, container.name, {
        resource,
        count,
        reusable: reusable.get(resource),
        affinity,
      });
      if (chosen.length === 0) continue;
      isNew = true;
      const { containerResponses } = await this.#endpoints.call<{ containerResponses: ContainerAnswer[] }>(
        resource,
        "Allocate",
        { containerRequests: [{ devicesIds: chosen }] },
        allocateMs,
      );
      const [answer] = containerResponses;
      if (!answer) throw new Error("no containers return in allocation response &AllocateResponse{}");
      const devices: Record<string, string[]> = {};
      for (const id of chosen) {
        const nodes = nodesOf(this.#devices.get(resource)?.get(id));
        for (const node of nodes.length > 0 ? nodes : [noNode]) devices[node] = [...(devices[node] ?? []), id];
      }
      this.#given.push({ podUid: uid, container: container.name, resource, devices, answer });
    }
    const isInit = pod.spec?.initContainers?.some(({ name }) => name === container.name) && !isSidecar(container);
    for (const each of this.#given) {
      if (each.podUid !== uid || each.container !== container.name) continue;
      const set = reusable.get(each.resource) ?? new Set();
      for (const id of idsOf(each)) {
        if (isInit) set.add(id);
        else set.delete(id);
      }
      reusable.set(each.resource, set);
    }
    if (isNew) await this.#save();
  }

  async #choose(
    uid: string,
    container: string,
    wanted: { resource: string; count: number; reusable: ReadonlySet<string> | undefined; affinity: Hint | undefined },
  ): Promise<string[]> {
    const { resource, count, reusable = new Set(), affinity } = wanted;
    const has = this.#of(uid, container, resource);
    const held = has ? idsOf(has) : [];
    if (has && held.length !== count)
      throw new Error(
        `pod ${JSON.stringify(uid)} container ${JSON.stringify(container)} changed request for resource ${JSON.stringify(resource)} from ${held.length} to ${count}`,
      );
    const healthy = this.#healthy.get(resource);
    if (!healthy) throw new Error(`cannot allocate unregistered device ${resource}`);
    if (healthy.size === 0)
      throw new Error(`no healthy devices present; cannot allocate unhealthy devices ${resource}`);
    if (!held.every((id) => healthy.has(id)))
      throw new Error(
        `previously allocated devices are no longer healthy; cannot allocate unhealthy devices ${resource}`,
      );
    const chosen = new Set<string>();
    const take = (ids: Iterable<string>): boolean => {
      for (const id of ids) if (chosen.size < count) chosen.add(id);
      return chosen.size === count;
    };
    if (has || count === 0 || take(reusable)) return [...chosen];
    const inUse = this.#allocated(resource);
    const available = [...healthy].filter((id) => !inUse.has(id)).sort();
    const missing = count - chosen.size;
    if (available.length < missing)
      throw new Error(
        `requested number of devices unavailable for ${resource}. Requested: ${missing}, Available: ${available.length}`,
      );
    const { aligned, unaligned, free } = this.#byAffinity(resource, available, affinity);
    const preferred = async (from: readonly string[]): Promise<string[]> => {
      if (!this.#endpoints.optionsOf(resource)?.getPreferredAllocationAvailable) return [];
      const request = {
        availableDeviceIDs: [...from, ...chosen],
        mustIncludeDeviceIDs: [...chosen],
        allocationSize: count,
      };
      try {
        const answer = await this.#endpoints.call<{ containerResponses: { deviceIDs: string[] }[] }>(
          resource,
          "GetPreferredAllocation",
          { containerRequests: [request] },
          allocateMs,
        );
        return (answer.containerResponses[0]?.deviceIDs ?? []).filter((id) => from.includes(id));
      } catch (error) {
        throw new Error(`device plugin GetPreferredAllocation rpc failed with err: ${(error as Error).message}`, {
          cause: error,
        }); // calls fail with errors
      }
    };
    const enough =
      missing < aligned.length
        ? take(await preferred(aligned)) || take(aligned)
        : take(aligned) || take(await preferred(available)) || take(unaligned) || take(free);
    if (!enough)
      throw new Error(`unexpectedly allocated less resources than required. Requested: ${count}, Got: ${chosen.size}`);
    return [...chosen];
  }

  #byAffinity(resource: string, available: readonly string[], affinity: Hint | undefined) {
    if (affinity?.nodes === undefined || !this.#isAligned(resource))
      return { aligned: [], unaligned: [], free: available };
    const mask = affinity.nodes;
    const nodes = (id: string) => maskOf(nodesOf(this.#devices.get(resource)?.get(id)));
    return {
      aligned: available.filter((id) => (nodes(id) & mask) !== 0),
      unaligned: available.filter((id) => nodes(id) !== 0 && (nodes(id) & mask) === 0),
      free: available.filter((id) => nodes(id) === 0),
    };
  }

  #isAligned(resource: string): boolean {
    return [...(this.#devices.get(resource)?.values() ?? [])].some((device) => nodesOf(device).length > 0);
  }

  /** What the runtime is told besides; asks plugins that want to know of each start. Rejects when they refuse. */
  async forStart(pod: PodView, container: ContainerSpec): Promise<ContainerAnswer[]> {
    const { uid = "" } = pod.metadata;
    const wanted = this.#wantedBy(pod, container).filter(([, count]) => count > 0);
    for (const [resource] of wanted) {
      const has = this.#of(uid, container.name, resource);
      if (!has) {
        await this.allocate(pod, container, undefined);
      }
      if (!this.#endpoints.optionsOf(resource)?.preStartRequired) continue;
      const given = this.#of(uid, container.name, resource);
      if (!given)
        throw new Error(
          `no devices found allocated in local cache for pod ${uid}, container ${container.name}, resource ${resource}`,
        );
      await this.#endpoints
        .call(resource, "PreStartContainer", { devicesIds: idsOf(given) }, preStartMs)
        .catch((error: Error) => {
          throw new Error(`device plugin PreStartContainer rpc failed with err: ${error.message}`, { cause: error });
        });
    }
    return this.#given
      .filter((each) => each.podUid === uid && each.container === container.name)
      .map(({ answer }) => answer);
  }

  hints(pod: PodView, container?: ContainerSpec): Hints {
    const hints = new Map<string, readonly Hint[] | undefined>();
    const { uid = "" } = pod.metadata;
    this.#takeBack();
    const wanted = container
      ? this.#wantedBy(pod, container)
      : [...this.#healthy.keys()].flatMap((resource): [string, number][] => {
          const count = podTotal(pod, { kind: "limits", name: resource }).total;
          return count > 0 ? [[resource, count]] : [];
        });
    for (const [resource, count] of wanted) {
      if (!this.#isAligned(resource)) {
        hints.set(resource, undefined);
        continue;
      }
      const held = this.#given
        .filter(
          (each) =>
            each.podUid === uid && each.resource === resource && (!container || each.container === container.name),
        )
        .flatMap(idsOf);
      const reusable =
        held.length > 0 || !container ? new Set<string>() : (this.#reusable.get(uid)?.get(resource) ?? new Set());
      const inUse = this.#allocated(resource);
      const available =
        held.length > 0
          ? new Set(held)
          : new Set([...(this.#healthy.get(resource) ?? [])].filter((id) => !inUse.has(id)));
      const isImpossible = held.length > 0 ? held.length !== count : new Set([...available, ...reusable]).size < count;
      hints.set(resource, isImpossible ? [] : this.#hintsOf(resource, { available, reusable, count }));
    }
    return hints;
  }

  #hintsOf(
    resource: string,
    { available, reusable, count }: { available: ReadonlySet<string>; reusable: ReadonlySet<string>; count: number },
  ): Hint[] {
    const all = this.#devices.get(resource) ?? new Map<string, PluginDevice>();
    const known = this.#options.numaNodes;
    const bearing = known.filter((node) => [...all.values()].some((device) => nodesOf(device).includes(node)));
    const isIn = (id: string, mask: number) => (maskOf(nodesOf(all.get(id))) & mask) !== 0;
    let smallest = bearing.length || known.length;
    const found = masksOf(bearing.length > 0 ? bearing : known).filter((mask) => {
      if ([...all.keys()].filter((id) => isIn(id, mask)).length >= count) smallest = Math.min(smallest, countOf(mask));
      const kept = [...reusable].filter((id) => nodesOf(all.get(id)).length > 0);
      if (!kept.every((id) => isIn(id, mask))) return false;
      return kept.length + [...available].filter((id) => isIn(id, mask)).length >= count;
    });
    return withPreference(found, smallest);
  }

  /** How the devices of its containers are. */
  withHealth(pod: PodView, statuses: readonly ContainerStatus[]): ContainerStatus[] {
    const own = this.#given.filter(({ podUid }) => podUid === pod.metadata.uid);
    if (own.length === 0) return [...statuses];
    return statuses.map((status) => {
      const found = own
        .filter(({ container }) => container === status.name)
        .map((each) => ({
          name: each.resource,
          resources: idsOf(each).map((id) => {
            const known = this.#devices.get(each.resource)?.get(id);
            return { resourceID: id, health: !known || known.health === "Healthy" ? "Healthy" : "Unhealthy" };
          }),
        }));
      if (found.length === 0) return status;
      const others = (status.allocatedResourcesStatus ?? []).filter(
        ({ name }) => !found.some((each) => each.name === name),
      );
      return { ...status, allocatedResourcesStatus: [...others, ...found] };
    });
  }

  /** For those who watch over the node. */
  givenTo(podUid: string, container: string): readonly GivenDevices[] {
    return this.#given.filter((each) => each.podUid === podUid && each.container === container);
  }

  healthyDevices(): { resource: string; device: PluginDevice }[] {
    return [...this.#healthy].flatMap(([resource, ids]) =>
      [...ids].flatMap((id) => {
        const device = this.#devices.get(resource)?.get(id);
        return device ? [{ resource, device }] : [];
      }),
    );
  }

  #save(): Promise<void> {
    const { folder, log } = this.#options;
    const write = () =>
      writeDeviceCheckpoint(join(folder, checkpointName), {
        given: this.#given,
        registered: Object.fromEntries([...this.#healthy].map(([resource, ids]) => [resource, [...ids]])),
      }).catch((error: unknown) => log.error("who has which devices could not be written down", { error }));
    this.#writing = this.#writing.then(write);
    return this.#writing;
  }
}

export const idsOf = ({ devices }: Pick<GivenDevices, "devices">): string[] => [
  ...new Set(Object.values(devices).flat()),
];
