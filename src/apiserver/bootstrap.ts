/** What every cluster has: the first namespaces, system priority classes. Created where it is missing. */
import type { Clock } from "#base";
import { type DeepReadonly, isStatusError, type KubernetesObject } from "#machinery";
import type { RegistryCore } from "./registry/core.ts";
import { localApiServices, reconcileApiService } from "./api-services.ts";
import { create } from "./registry/create.ts";
import { remove } from "./registry/delete.ts";
import { internalCall } from "./registry/internal-call.ts";
import { objectKey } from "./registry/storage.ts";
import { update } from "./registry/update.ts";
import type { Reconciled } from "./security/reconcile-bootstrap.ts";

export interface BootstrapOptions {
  readonly core: RegistryCore;
  readonly clock: Clock;
  /** What others want to be there too (roles). */
  readonly objects: readonly Wanted[];
}

const namespaces = ["default", "kube-system", "kube-public", "kube-node-lease"];

export async function bootstrap(options: BootstrapOptions): Promise<void> {
  await Promise.all(
    namespaces.map((name) => ensure(options, { path: ["", "v1", "namespaces", ""], object: { metadata: { name } } })),
  );
  await Promise.all(options.objects.map((wanted) => ensure(options, wanted)));
  const classes = ["scheduling.k8s.io", "v1", "priorityclasses", ""] as const;
  await Promise.all(priorityClasses.map((object) => ensure(options, { path: classes, object })));
  const services = ["apiregistration.k8s.io", "v1", "apiservices", ""] as const;
  const wanted = localApiServices(options.core.table.groupVersions());
  await Promise.all(
    wanted.map((object) => ensure(options, { path: services, object, reconcile: reconcileApiService(object) })),
  );
}

const priorityClasses: readonly object[] = [
  {
    metadata: { name: "system-node-critical" },
    value: 2_000_001_000,
    description: "Used for system critical pods that must not be moved from their current node.",
  },
  {
    metadata: { name: "system-cluster-critical" },
    value: 2_000_000_000,
    description:
      "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
  },
];

export interface Wanted {
  readonly path: readonly [group: string, version: string, resource: string, namespace: string];
  readonly object: object;
  /** What to do about one that is there already; without it, nothing. */
  reconcile?(found: DeepReadonly<KubernetesObject>): Reconciled<object>;
}

/** Through the registry like any other write, as the server itself. */
async function ensure(
  { core, clock }: Pick<BootstrapOptions, "core" | "clock">,
  { path, object, reconcile }: Wanted,
): Promise<void> {
  const [group, version, resource, namespace] = path;
  const kind = core.table.stored(group, resource);
  const { name = "" } = (object as KubernetesObject).metadata ?? {}; // all have it
  if (!kind) return;
  const write = { group, version, resource, namespace, name, now: clock.now() };
  const found = await core.storage.read(kind, objectKey(kind, namespace, name));
  if (found) {
    const plan = reconcile?.(found.decoded()) ?? { type: "keep" };
    if (plan.type === "keep") return;
    if (plan.type === "update") {
      await update(core, internalCall(core, { ...write, verb: "update", object: plan.object }), "");
      return;
    }
    await remove(core, internalCall(core, { ...write, verb: "delete" }));
  }
  try {
    await create(core, internalCall(core, { ...write, verb: "create", name: "", object }));
  } catch (error) {
    // Another server was faster.
    if (!isStatusError(error, "AlreadyExists")) throw error;
  }
}
