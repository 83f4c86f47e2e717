/**
 * Quotas of a namespace: what doesn't fit is refused, what does is added to status.used before it is stored, so that many writers at once
 * can't take the same rest. Requests that arrive while a namespace is being looked at are looked at together afterwards, with one write
 * per quota for all. What is never stored after all, or deleted, the quota controller gives back. Upstream's ResourceQuota.
 */
import type { Pod, ResourceQuota } from "#api";
import { statusError } from "#machinery";
import { encodeValue } from "../cache/encode.ts";
import { Selection } from "../cache/selection.ts";
import type { StoredObject } from "../cache/stored-object.ts";
import type { Storage } from "../registry/storage.ts";
import { trackOwners } from "../registry/versions.ts";
import type { ResourceTable, StoredKind } from "../resource.ts";
import type { AdmissionPlugin, AdmissionRequest } from "./chain.ts";
import { charge, type Tally } from "./quota-check.ts";

/** Someone else may change the quota at the same time: the quota controller, above all. */
const attemptsMax = 4;

export interface QuotaOptions {
  readonly table: ResourceTable;
  readonly storage: Storage;
}

export function resourceQuota({ table, storage }: QuotaOptions): AdmissionPlugin {
  const queues = new Map<string, Waiter[]>();
  return {
    name: "ResourceQuota",
    handles: ({ operation, resource, subresource }) =>
      resource.stored?.namespaced === true && !isEvent(resource.stored) && isCounted(resource, subresource, operation),
    validate(request) {
      if (!mayCost(request)) return undefined;
      const kind = table.stored("", "resourcequotas");
      return kind && new Promise((done, fail) => enqueue({ request, done, fail }, kind));
    },
  };

  function enqueue(waiter: Waiter, kind: StoredKind): void {
    const { namespace } = waiter.request;
    const queue = queues.get(namespace);
    if (queue) return void queue.push(waiter);
    queues.set(namespace, [waiter]);
    void drain(namespace, kind);
  }

  async function drain(namespace: string, kind: StoredKind): Promise<void> {
    for (let waiters = queues.get(namespace); waiters?.length; waiters = queues.get(namespace)) {
      queues.set(namespace, []);
      await serve(waiters, namespace, kind);
    }
    queues.delete(namespace);
  }

  async function serve(waiters: readonly Waiter[], namespace: string, kind: StoredKind): Promise<void> {
    try {
      let left = waiters;
      for (let attempt = 0; left.length > 0 && attempt < attemptsMax; attempt++) {
        left = await settle(left, namespace, kind);
      }
      for (const { fail } of left) fail(statusError.modified(kind, ""));
    } catch (error) {
      for (const { fail } of waiters) fail(error);
    }
  }

  /** Answers those who must be asked again, because a quota changed meanwhile. */
  async function settle(waiters: readonly Waiter[], namespace: string, kind: StoredKind): Promise<readonly Waiter[]> {
    const cache = await storage.cache(kind);
    const quotas = cache.select(new Selection({ kind, namespace }));
    let tallies: readonly Tally[] = quotas.map(tallyOf);
    const charged = waiters.filter((waiter) => {
      try {
        const after = charge(tallies, waiter.request);
        if (after.some((tally, i) => tally !== tallies[i]) && !waiter.request.dryRun) {
          tallies = after;
          return true;
        }
        waiter.done();
      } catch (error) {
        waiter.fail(error);
      }
      return false;
    });
    if (charged.length === 0) return [];
    const [first, ...others] = quotas.flatMap((quota, i) => {
      const object = withUsed(quota, tallies[i]?.used, charged[0]!.request.now);
      return object ? [{ quota, object }] : [];
    });
    if (first) {
      const { quota, object } = first;
      // All quotas or none: a second attempt must not charge one of them twice.
      const side = {
        compare: others.map(({ quota }) => ({ key: kind.prefix + quota.key, modRevision: quota.revision })),
        operations: others.map(({ quota, object }) => {
          return { type: "put" as const, key: kind.prefix + quota.key, value: encodeValue(kind.head, object) };
        }),
      };
      const result = await storage.write({ kind, key: quota.key, object, expected: quota.revision, side });
      if (result.type !== "written") return charged;
    }
    for (const { done } of charged) done();
    return [];
  }

  /** Undefined: nothing changed. */
  function withUsed(quota: StoredObject, used: Tally["used"] | undefined, now: number): ResourceQuota | undefined {
    const object = quota.parse() as ResourceQuota; // quotas only
    if (!used || sameAmounts(object.status?.used, used)) return undefined;
    object.status = { ...object.status, used: { ...used } };
    const resource = table.find("", "v1", quota.kind.resource);
    if (!resource) return object;
    const strategy = quota.kind.behaviour.subresources?.status;
    const manager = "kube-apiserver";
    trackOwners({ core: { table }, resource, subresource: "status", manager, strategy, now }, quota, object);
    return object;
  }
}

interface Waiter {
  readonly request: AdmissionRequest;
  done(): void;
  fail(error: unknown): void;
}

function tallyOf(object: StoredObject): Tally {
  const quota = object.decoded() as ResourceQuota; // quotas only
  return { quota, used: quota.status?.used ?? {} };
}

function sameAmounts(a: Tally["used"] = {}, b: Tally["used"]): boolean {
  const names = Object.keys(b);
  return names.length === Object.keys(a).length && names.every((name) => a[name] === b[name]);
}

const isEvent = ({ resource, group }: StoredKind): boolean =>
  resource === "events" && (group === "" || group === "events.k8s.io");

/** Whose changes may cost more than they did. */
const changing = new Set(["services", "persistentvolumeclaims", "pods"]);

/** A pod changes its scope with its deadline; nothing else about it that may change counts. */
function mayCost({ operation, resource, subresource, object, old }: AdmissionRequest): boolean {
  if (operation === "CREATE" || resource.group !== "" || resource.resource !== "pods" || subresource !== "")
    return true;
  const hasDeadline = (pod: Pod | undefined) => pod?.spec?.activeDeadlineSeconds !== undefined;
  return hasDeadline(object as Pod) !== hasDeadline(old as Pod); // as the resource says
}

function isCounted(
  { group, resource }: AdmissionRequest["resource"],
  subresource: string,
  operation: AdmissionRequest["operation"],
): boolean {
  if (operation === "CREATE") return subresource === "";
  if (operation !== "UPDATE" || group !== "") return false;
  return subresource === "" ? changing.has(resource) : resource === "pods" && subresource === "resize";
}
