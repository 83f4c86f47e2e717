/** What every cluster has: the first namespaces, system priority classes, the `kubernetes` Service. Created where it is missing. */
import type { Clock } from "#base";
import { isStatusError, type KubernetesObject } from "#machinery";
import { Query } from "./query.ts";
import type { Call } from "./registry/call.ts";
import type { RegistryCore } from "./registry/core.ts";
import { create } from "./registry/create.ts";

export interface BootstrapOptions {
  readonly core: RegistryCore;
  readonly clock: Clock;
  readonly serviceCidr: string;
  readonly advertiseAddress: string | undefined;
  /** What others want to be there too (roles). */
  readonly objects: readonly Wanted[];
}

const namespaces = ["default", "kube-system", "kube-public", "kube-node-lease"];

export async function bootstrap(options: BootstrapOptions): Promise<void> {
  await Promise.all(
    namespaces.map((name) => ensure(options, { path: ["", "v1", "namespaces", ""], object: { metadata: { name } } })),
  );
  await Promise.all(options.objects.map((wanted) => ensure(options, wanted)));
  await Promise.all(priorityClasses.map((object) => ensure(options, { path: ["scheduling.k8s.io", "v1", "priorityclasses", ""], object })));
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
    description: "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
  },
];

export interface Wanted {
  readonly path: readonly [group: string, version: string, resource: string, namespace: string];
  readonly object: object;
}

/** Through the registry like any other write, as the server itself. */
async function ensure({ core, clock }: BootstrapOptions, { path, object }: Wanted): Promise<void> {
  const [group, version, plural, namespace] = path;
  const resource = core.table.find(group, version, plural);
  if (!resource) return;
  const { metadata } = object as KubernetesObject;
  const kind = resource.stored;
  if (kind && (await core.storage.read(kind, kind.namespaced ? `${namespace}/${metadata?.name}` : (metadata?.name ?? "")))) return;
  const call: Call = {
    user: { name: "system:apiserver", uid: "", groups: ["system:masters"], extra: {} },
    verb: "create",
    resource,
    target: { type: "resource", group, version, namespace, resource: plural, name: "", subresource: "", rest: "", legacyWatch: false, inNamespace: namespace !== "" },
    query: new Query(""),
    userAgent: "kube-apiserver",
    body: { contentType: "application/json", value: structuredClone(object), bytes: async () => Buffer.from(JSON.stringify(object)) },
    warnings: [],
    now: clock.now(),
  };
  try {
    await create(core, call);
  } catch (error) {
    // Another server was faster.
    if (!isStatusError(error, "AlreadyExists")) throw error;
  }
}
