/**
 * POST pods/<name>/eviction: a deletion that respects disruption budgets. One disruption is taken off the budget's status first,
 * so that two evictions can't spend the same one. Follows pkg/registry/core/pod/storage/eviction.go.
 */
import type { Pod, PodDisruptionBudget } from "#api";
import {
  compileLabelSelector,
  type DeepReadonly,
  type KubernetesObject,
  type Status,
  StatusError,
  statusError,
} from "#machinery";
import type { Answer } from "../answer.ts";
import { Selection } from "../cache/selection.ts";
import type { StoredObject } from "../cache/stored-object.ts";
import { admitCreate } from "./admit-create.ts";
import type { Call } from "./call.ts";
import type { RegistryCore } from "./core.ts";
import { storedOf } from "./create.ts";
import { decodeBody } from "./decode.ts";
import { removeOne } from "./delete.ts";
import { checkPreconditions, type DeleteOptions } from "./deletion.ts";
import { plainError } from "./errors.ts";
import { internalCall } from "./internal-call.ts";
import { readWriteOptions, type WriteOptions } from "./options.ts";
import { rfc3339 } from "./rfc3339.ts";
import { modify, strategyOf } from "./update.ts";
import { trackOwners } from "./versions.ts";

interface Eviction extends KubernetesObject {
  deleteOptions?: DeleteOptions;
}

const success = (): Status => ({ kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", code: 201 });
/** The server's own writes. */
const ownOptions: WriteOptions = { dryRun: false, manager: "kube-apiserver", fieldValidation: "Ignore" };

export async function evictPod(call: Call, core: RegistryCore): Promise<Answer> {
  const options = readWriteOptions(call.query, "CreateOptions", call);
  const eviction: Eviction = await decodeBody(call, {
    expected: { apiVersion: "policy/v1", kind: "Eviction" },
    fieldValidation: options.fieldValidation,
    schemaOf: (apiVersion, kind) => core.typeOf(apiVersion, kind) ?? core.typeOf("policy/v1", kind),
  });
  const { name, namespace } = call.target;
  if (eviction.metadata?.name !== name)
    throw statusError.badRequest("name in URL does not match name in Eviction object");
  const dryRun = options.dryRun || (eviction.deleteOptions?.dryRun?.length ?? 0) > 0;
  const deleteOptions: DeleteOptions = { ...eviction.deleteOptions, ...(dryRun && { dryRun: ["All"] }) };
  const kind = storedOf(call);
  const stored = await core.storage.read(kind, `${namespace}/${name}`);
  if (!stored) throw statusError.notFound(call.resource, name);
  await admitCreate(core, call, { object: eviction, options: { ...options, dryRun } });
  const pod = stored.decoded() as DeepReadonly<Pod>; // the call is about pods
  if (needsBudget(pod)) await spendBudget(core, call, { pod, labels: stored.labels(), dryRun });
  checkPreconditions({ kind, object: pod, options: deleteOptions, now: call.now });
  if (!dryRun && pod.metadata.deletionTimestamp === undefined) await markEvicted(core, call);
  await removeOne(core, call, { name, namespace, options: deleteOptions });
  return { type: "value", status: 201, value: success() };
}

/** Pods that are over, not yet running or already going cost nobody anything. */
function needsBudget({ status, metadata }: DeepReadonly<Pod>): boolean {
  const phase = status?.phase;
  return phase !== "Succeeded" && phase !== "Failed" && phase !== "Pending" && metadata.deletionTimestamp === undefined;
}

/** Whoever watches the pod learns why it goes. */
async function markEvicted(core: RegistryCore, call: Call): Promise<void> {
  await modify(core, call, {
    options: ownOptions,
    subresource: "status",
    strategy: undefined,
    create: false,
    make: async (existing) => {
      const pod = existing?.parse() as Pod; // modify found it
      const others = pod.status?.conditions?.filter(({ type }) => type !== "DisruptionTarget") ?? [];
      const condition = {
        type: "DisruptionTarget",
        status: "True",
        reason: "EvictionByEvictionAPI",
        message: "Eviction API: evicting",
        // A time that isn't set is sent as null, which the types don't say.
        lastProbeTime: null as unknown as string,
        lastTransitionTime: rfc3339(call.now),
      };
      pod.status = { ...pod.status, conditions: [...others, condition] };
      return pod;
    },
  });
}

interface Spending {
  readonly pod: DeepReadonly<Pod>;
  readonly labels: Readonly<Record<string, string>>;
  readonly dryRun: boolean;
}

async function spendBudget(core: RegistryCore, call: Call, { pod, labels, dryRun }: Spending): Promise<void> {
  const kind = core.table.stored("policy", "poddisruptionbudgets");
  if (!kind) return;
  const cache = await core.storage.cache(kind);
  const namespace = call.target.namespace;
  const covers = (each: StoredObject) => {
    const { spec } = each.decoded() as PodDisruptionBudget; // read only
    return compileLabelSelector(spec?.selector).matches(labels);
  };
  const [budget, second] = cache.select(new Selection({ kind, namespace })).filter(covers);
  if (second)
    throw plainError(
      "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
    );
  if (!budget) return;
  if (dryRun) return void spend(budget.parse() as PodDisruptionBudget, pod, call.now);
  const resource = { group: "policy", version: "v1", resource: "poddisruptionbudgets" };
  const own = internalCall(core, {
    ...resource,
    verb: "update",
    namespace,
    name: budget.name,
    subresource: "status",
    now: call.now,
  });
  const strategy = strategyOf(kind, "status");
  await modify(core, own, {
    options: ownOptions,
    subresource: "status",
    strategy,
    create: false,
    make: async (existing) => {
      const object = existing?.parse() as PodDisruptionBudget; // modify found it
      if (spend(object, pod, call.now)) {
        const { manager } = ownOptions;
        trackOwners(
          { core, resource: own.resource, subresource: "status", manager, strategy, now: call.now },
          existing,
          object,
        );
      }
      return object;
    },
  });
}

/** Takes one disruption off; false: this pod costs none. Throws 429 when none is left. */
function spend(budget: PodDisruptionBudget, pod: DeepReadonly<Pod>, now: number): boolean {
  const { spec, status, metadata } = budget;
  const { currentHealthy = 0, desiredHealthy = 0, disruptionsAllowed = 0 } = status ?? {};
  const ready = pod.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false;
  if (!ready && spec?.unhealthyPodEvictionPolicy === "AlwaysAllow") return false;
  if (!ready && desiredHealthy > 0 && currentHealthy >= desiredHealthy) return false;
  if ((status?.observedGeneration ?? 0) < (metadata?.generation ?? 0)) {
    throw tooMany(`The disruption budget ${metadata?.name} is still being processed by the server.`, 10);
  }
  if (disruptionsAllowed < 0)
    throw statusError.forbidden(
      { group: "policy", resource: "poddisruptionbudget" },
      metadata?.name ?? "",
      "pdb disruptions allowed is negative",
    );
  if (disruptionsAllowed === 0) {
    const known = status?.conditions?.find(({ type }) => type === "DisruptionAllowed");
    const { reason, message } = known?.status === "False" && known.message ? known : {};
    const doesNot = `The disruption budget ${metadata?.name} does not allow evicting pods currently`;
    if (reason === "SyncFailed") throw tooMany(`${doesNot} because it failed sync: ${message}`, 0);
    throw tooMany(
      currentHealthy <= desiredHealthy
        ? `The disruption budget ${metadata?.name} needs ${desiredHealthy} healthy pods and has ${currentHealthy} currently`
        : message
          ? `${doesNot} (${reason}): ${message}`
          : doesNot,
      0,
    );
  }
  const left = disruptionsAllowed - 1;
  const conditions = left > 0 ? status?.conditions : insufficient(budget, now);
  budget.status = {
    ...status,
    disruptionsAllowed: left,
    disruptedPods: { ...status?.disruptedPods, [pod.metadata.name ?? ""]: rfc3339(now) },
    ...(conditions && { conditions }),
  } as NonNullable<PodDisruptionBudget["status"]>; // counts it had it keeps
  return true;
}

function insufficient({ status, metadata }: PodDisruptionBudget, now: number) {
  const others = status?.conditions?.filter(({ type }) => type !== "DisruptionAllowed") ?? [];
  const condition = {
    type: "DisruptionAllowed",
    status: "False",
    reason: "InsufficientPods",
    message: "",
    observedGeneration: metadata?.generation ?? 0,
    lastTransitionTime: rfc3339(now),
  };
  return [...others, condition];
}

function tooMany(why: string, retryAfterSeconds: number): StatusError {
  const { status } = statusError.tooManyRequests(
    "Cannot evict pod as it would violate the pod's disruption budget.",
    0,
  );
  const causes = [{ reason: "DisruptionBudget", message: why }];
  return new StatusError({ ...status, details: { causes, ...(retryAfterSeconds > 0 && { retryAfterSeconds }) } });
}
