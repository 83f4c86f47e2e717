/** What every cluster has: the first namespaces, system priority classes, the `kubernetes` Service. Created where it is missing. */
import type { Clock } from "#base";
import { type DeepReadonly, isStatusError, type KubernetesObject } from "#machinery";
import type { RegistryCore } from "./registry/core.ts";
import { localApiServices, reconcileApiService } from "./api-services.ts";
import { create } from "./registry/create.ts";
import { remove } from "./registry/delete.ts";
import { internalCall } from "./registry/internal-call.ts";
import { ServiceRange } from "./registry/service-range.ts";
import { objectKey } from "./registry/storage.ts";
import { update } from "./registry/update.ts";
import type { Reconciled } from "./security/reconcile-bootstrap.ts";

export interface BootstrapOptions {
  readonly core: RegistryCore;
  readonly clock: Clock;
  readonly serviceCidr: string;
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
  await ensureKubernetesService(options);
}

/** How pods find this server: a Service on the first address, whose endpoints are where the server listens. */
export async function ensureKubernetesService(options: Omit<BootstrapOptions, "objects">): Promise<void> {
  const { serviceCidr } = options;
  const address = new ServiceRange(serviceCidr).first();
  const labels = { component: "apiserver", provider: "kubernetes" };
  const port = { name: "https", port: 443, protocol: "TCP", targetPort: 6443 };
  await ensure(options, {
    path: ["networking.k8s.io", "v1", "servicecidrs", ""],
    object: { metadata: { name: "kubernetes" }, spec: { cidrs: [new ServiceRange(serviceCidr).text] } },
  });
  await ensure(options, {
    path: ["", "v1", "services", "default"],
    object: {
      metadata: { name: "kubernetes", labels },
      spec: { clusterIP: address, ports: [port], sessionAffinity: "None", type: "ClusterIP" },
    },
  });
}

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** Behind the `kubernetes` Service: this server. Called when it listens, as the port may be any free one. */
export async function publishEndpoint(
  { core, clock }: Pick<BootstrapOptions, "core" | "clock">,
  { address, port }: Endpoint,
): Promise<void> {
  const ports = [{ name: "https", port, protocol: "TCP" }];
  const now = clock.now();
  const put = async (group: string, resource: string, object: KubernetesObject) => {
    const write = { group, version: "v1", resource, namespace: "default", name: "kubernetes", object, now } as const;
    const call = internalCall(core, { ...write, verb: "update" });
    if (call.resource.stored && (await core.storage.read(call.resource.stored, "default/kubernetes")))
      await update(core, call, "");
    else await create(core, internalCall(core, { ...write, verb: "create", name: "" }));
  };
  const endpoints = {
    metadata: { name: "kubernetes", labels: { "endpointslice.kubernetes.io/skip-mirror": "true" } },
    subsets: [{ addresses: [{ ip: address }], ports }],
  };
  const slice = {
    metadata: { name: "kubernetes", labels: { "kubernetes.io/service-name": "kubernetes" } },
    addressType: "IPv4",
    endpoints: [{ addresses: [address], conditions: { ready: true } }],
    ports,
  };
  await Promise.all([put("", "endpoints", endpoints), put("discovery.k8s.io", "endpointslices", slice)]);
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
