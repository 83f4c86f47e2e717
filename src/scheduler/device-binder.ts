/**
 * Writes what was decided about a pod's devices before the pod is bound: allocation, reservation and finalizer of each claim, the claim
 * for its extended resources; then waits for drivers that make devices ready. Takes it all back when the pod isn't bound after all.
 */
import { allocationFinalizer, isReservedForPod, type ResourceClaim } from "#api";
import type { Clock, Logger } from "#base";
import { type Client, type EventRecorder, secondTime } from "#client";
import { cloneJson, isStatusError } from "#machinery";
import {
  areDevicesReady,
  deviceBindingTimeoutMs,
  hasBindingConditions,
  isBindingOverdue,
} from "./core/devices/binding-conditions.ts";
import type { DeviceState } from "./core/devices/device-state.ts";
import type { DevicePlan, DevicesToFree } from "./core/devices/pod-devices.ts";
import { type Claim, claimKey, unwrittenName } from "./core/devices/requests.ts";
import type { ReadonlyPod } from "./core/pod-info.ts";

/** Tries of a write that meets others' writes. */
const writesMax = 5;

export interface DeviceBinder {
  /** From now on nobody else gets them. */
  reserve(plan: DevicePlan): void;
  /** Rejects when the pod can't have them. */
  bind(
    plan: DevicePlan,
    pod: ReadonlyPod,
    options: { nodeName: string; signal: AbortSignal; events: EventRecorder | undefined },
  ): Promise<void>;
  /** The pod wasn't bound. */
  unreserve(plan: DevicePlan, pod: ReadonlyPod): void;
  free(found: DevicesToFree): string;
  /** A claim changed. */
  notify(): void;
}

const draft = (claim: Claim): ResourceClaim => cloneJson(claim) as ResourceClaim; // a copy

export function createDeviceBinder(options: {
  client: Client;
  state: DeviceState;
  clock: Clock;
  log: Logger;
}): DeviceBinder {
  const { client, state, clock, log } = options;
  const waiters = new Set<() => void>();
  const api = ({ metadata }: Claim) => client.resource("resource.k8s.io/v1/resourceclaims", metadata.namespace);
  /** Claims that were made for extended resources, by the one that stood for them. */
  const made = new WeakMap<Claim, Claim>();

  async function create(claim: Claim): Promise<Claim> {
    const { name: _name, uid: _uid, ...metadata } = draft(claim).metadata;
    try {
      return await api(claim).create({ ...draft(claim), metadata });
    } catch (error) {
      throw new Error(`create claim for extended resources ${claimKey(claim)}: ${messageOf(error)}`, { cause: error });
    }
  }

  async function bindClaim({ claim, allocation }: DevicePlan["claims"][number], pod: ReadonlyPod): Promise<Claim> {
    let current = claim;
    if (claim.metadata.name === unwrittenName) {
      current = await create(claim);
      made.set(claim, current);
    }
    for (let attempt = 1; ; attempt++) {
      try {
        current = await writeClaim(current, { allocation, pod });
        if (current.metadata.uid !== claim.metadata.uid) state.release(claim);
        state.wrote(current);
        return current;
      } catch (error) {
        if (attempt === writesMax || !isStatusError((error as Error).cause, "Conflict")) throw error; // writeClaim throws errors only
        current = await api(claim).get(current.metadata.name ?? "");
      }
    }
  }

  async function writeClaim(
    claim: Claim,
    { allocation, pod }: { allocation: DevicePlan["claims"][number]["allocation"]; pod: ReadonlyPod },
  ): Promise<Claim> {
    const key = claimKey(claim);
    let current = claim;
    if (claim.metadata.deletionTimestamp) throw new Error(`claim ${key} got deleted in the meantime`);
    if (allocation) {
      if (claim.status?.allocation) throw new Error(`claim ${key} got allocated elsewhere in the meantime`);
      if (!claim.metadata.finalizers?.includes(allocationFinalizer)) {
        const changed = draft(claim);
        changed.metadata.finalizers = [...(changed.metadata.finalizers ?? []), allocationFinalizer];
        current = await said(`add finalizer to claim ${key}`, api(claim).update(changed));
      }
    } else if (!claim.status?.allocation) throw new Error(`claim ${key} got deallocated elsewhere in the meantime`);
    const changed = draft(current);
    const taken = allocation ?? changed.status?.allocation;
    const { name = "", uid = "" } = pod.metadata;
    changed.status = {
      ...changed.status,
      allocation: { allocationTimestamp: secondTime(clock.now()), ...taken },
      reservedFor: [...(changed.status?.reservedFor ?? []), { resource: "pods", name, uid }],
    };
    return said(
      `add ${allocation ? "allocation and " : ""}reservation to claim ${key}`,
      api(claim).updateStatus(changed),
    );
  }

  async function reportMappings(pod: ReadonlyPod, claim: Claim, mappings: DevicePlan["mappings"]): Promise<void> {
    const { namespace, name = "", uid } = pod.metadata;
    const status = {
      extendedResourceClaimStatus: { requestMappings: mappings, resourceClaimName: claim.metadata.name },
    };
    const patch = { metadata: { uid }, status };
    await said(
      `update pod ${namespace}/${name} ExtendedResourceClaimStatus`,
      client.resource("v1/pods", namespace).patch(name, patch, { type: "strategic", subresource: "status" }),
    );
  }

  /** Until all devices are ready on the node. */
  function ready(keys: readonly string[], signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (error?: Error) => {
        waiters.delete(look);
        cancel();
        signal.removeEventListener("abort", onAbort);
        if (error) reject(error);
        else resolve();
      };
      const onAbort = () => end(new Error("context canceled"));
      const look = () => {
        for (const key of keys) {
          const claim = state.claim(key);
          if (!claim) return end(new Error(`could not find ResourceClaim ${JSON.stringify(key)}`));
          const isReady = areDevicesReady(claim);
          if (isReady instanceof Error) return end(isReady);
          if (isReady) continue;
          if (isBindingOverdue(claim, clock.now()))
            end(new Error(`device binding timeout: claim=${claim.metadata.name}`));
          return undefined;
        }
        return end();
      };
      const cancel = clock.after(deviceBindingTimeoutMs, () =>
        end(new Error("device binding timeout: context deadline exceeded")),
      );
      waiters.add(look);
      signal.addEventListener("abort", onAbort, { once: true });
      if (signal.aborted) onAbort();
      else look();
    });
  }

  const inBackground = (what: string, work: Promise<unknown>) =>
    void work.catch((error: unknown) => {
      if (!isStatusError(error, "NotFound")) log.warn(what, { error });
    });

  async function remove(claim: Claim): Promise<void> {
    const name = claim.metadata.name ?? "";
    const current = draft(await api(claim).get(name));
    const finalizers = (current.metadata.finalizers ?? []).filter((each) => each !== allocationFinalizer);
    await api(claim).update({ ...current, metadata: { ...current.metadata, finalizers } });
    await api(claim).delete(name);
  }

  return {
    reserve({ claims }) {
      for (const { claim, allocation } of claims) if (allocation) state.reserve(claim, allocation);
    },
    async bind(plan, pod, { nodeName, signal, events }) {
      const bound: Claim[] = [];
      for (const each of plan.claims) {
        const claim = await bindClaim(each, pod);
        if (each.claim.metadata.name === unwrittenName) await reportMappings(pod, claim, plan.mappings);
        bound.push(claim);
      }
      const waiting = bound.filter(hasBindingConditions);
      if (waiting.length === 0) return;
      const message = `waiting for binding conditions for device on node ${nodeName}`;
      events?.event(pod, { type: "Normal", reason: "BindingConditionsPending", action: "Scheduling", message });
      await ready(waiting.map(claimKey), signal);
    },
    unreserve({ claims }, pod) {
      for (const { claim } of claims) {
        state.release(claim);
        const own = made.get(claim);
        if (own) {
          inBackground("claim for extended resources not removed", remove(own));
          continue;
        }
        const current = state.claim(claimKey(claim));
        if (!current?.status?.allocation || !isReservedForPod(pod, current)) continue;
        const { uid, name = "" } = current.metadata;
        const patch = { metadata: { uid }, status: { reservedFor: [{ $patch: "delete", uid: pod.metadata.uid }] } };
        inBackground(
          "reservation not taken back",
          api(current).patch(name, patch, { type: "strategic", subresource: "status" }),
        );
      }
    },
    free({ deallocate, remove: leftOver }) {
      if (deallocate) {
        const { reservedFor: _r, allocation: _a, devices: _d, ...status } = draft(deallocate).status ?? {};
        inBackground("claim not deallocated", api(deallocate).updateStatus({ ...draft(deallocate), status }));
        return "deallocation of ResourceClaim completed";
      }
      if (!leftOver) return "still not schedulable";
      inBackground("claim for extended resources not removed", remove(leftOver));
      return "deletion of ResourceClaim completed";
    },
    notify() {
      for (const look of [...waiters]) look();
    },
  };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

async function said<T>(what: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw new Error(`${what}: ${messageOf(error)}`, { cause: error });
  }
}
