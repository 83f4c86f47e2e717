/**
 * An operator as people write them, on the official JavaScript client and nothing of ours: two versions with a conversion webhook, a validating
 * webhook, status, finalizers, owned objects, leader election. `operator.test.ts` runs several of it as processes of their own.
 *
 * For each Boat it keeps a ConfigMap `NAME-manifest` (owned, so that the collector takes it) and, before a boat may go, writes into the
 * ConfigMap `harbour` that it left: the outer world that a finalizer is for.
 */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { RequestListener } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import {
  AdmissionregistrationV1Api,
  ApiException,
  ApiextensionsV1Api,
  CoordinationV1Api,
  CoreV1Api,
  CustomObjectsApi,
  KubeConfig,
  type KubernetesListObject,
  type KubernetesObject,
  makeInformer,
  setHeaderOptions,
  V1MicroTime,
} from "@kubernetes/client-node";

export interface Boat extends KubernetesObject {
  spec: { sails: { count: number; colour?: string }; paused?: boolean };
  status?: { observedGeneration?: number; phase?: string };
}

const group = "fleet.example.com";
const finalizer = `${group}/harbour`;
const leaseMs = 1_500;
const identity = process.env.IDENTITY ?? "operator";
const kubeconfig = new KubeConfig();
kubeconfig.loadFromDefault();
const core = kubeconfig.makeApiClient(CoreV1Api);
const custom = kubeconfig.makeApiClient(CustomObjectsApi);
const leases = kubeconfig.makeApiClient(CoordinationV1Api);
const isStatus = (error: unknown, code: number) => error instanceof ApiException && error.code === code;
const merge = setHeaderOptions("Content-Type", "application/merge-patch+json");

// --- webhooks ---

const tls = { cert: readFileSync(process.env.CERTIFICATE ?? ""), key: readFileSync(process.env.KEY ?? "") };

/** v1alpha1 says `spec.sails: 3` and `spec.colour`; v1 `spec.sails: {count, colour}`. */
function convertBoat(boat: Record<string, unknown>, to: string): object {
  const from = String(boat.apiVersion);
  const spec = boat.spec as Record<string, unknown>;
  const { sails, colour, ...rest } = spec;
  if (from === to) return boat;
  if (to === `${group}/v1`)
    return { ...boat, apiVersion: to, spec: { ...rest, sails: { count: sails, ...(colour ? { colour } : {}) } } };
  const { count, colour: dyed } = sails as { count: number; colour?: string };
  return { ...boat, apiVersion: to, spec: { ...rest, sails: count, ...(dyed ? { colour: dyed } : {}) } };
}

const answer: RequestListener = async (request, response) => {
  const review = JSON.parse(await text(request)) as { request: Record<string, unknown> & { uid: string } };
  const { uid } = review.request;
  const more = request.url?.startsWith("/convert")
    ? {
        result: { status: "Success" },
        convertedObjects: (review.request.objects as Record<string, unknown>[]).map((boat) =>
          convertBoat(boat, String(review.request.desiredAPIVersion)),
        ),
      }
    : validate(review.request.object as Boat | undefined);
  response
    .setHeader("content-type", "application/json")
    .end(JSON.stringify({ ...review, request: undefined, response: { uid, ...more } }));
};

function validate(boat: Boat | undefined): object {
  const count = boat?.spec.sails.count ?? 0;
  return count % 2 === 0 && boat && !boat.spec.paused
    ? {
        allowed: false,
        status: { code: 422, reason: "Invalid", message: `a boat with ${count} sails goes in circles` },
      }
    : { allowed: true, warnings: boat?.spec.paused ? ["a paused boat does not sail"] : [] };
}

const server = createServer(tls, answer).listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = server.address() as AddressInfo;
const at = (path: string) => ({ url: `https://127.0.0.1:${port}${path}`, caBundle: tls.cert.toString("base64") });

const spec = (sails: object, more: object = {}) => ({
  openAPIV3Schema: {
    type: "object",
    required: ["spec"],
    properties: {
      spec: { type: "object", required: ["sails"], properties: { sails, paused: { type: "boolean" }, ...more } },
      status: {
        type: "object",
        properties: { phase: { type: "string" }, observedGeneration: { type: "integer", format: "int64" } },
      },
    },
  },
});
// `_default` is the client's name for `default`.
const colour = { type: "string", _default: "white" };
const definition = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: `boats.${group}` },
  spec: {
    group,
    scope: "Namespaced",
    names: { plural: "boats", singular: "boat", kind: "Boat", listKind: "BoatList", shortNames: ["bt"] },
    conversion: {
      strategy: "Webhook",
      webhook: { conversionReviewVersions: ["v1"], clientConfig: at("/convert") },
    },
    versions: [
      {
        name: "v1alpha1",
        served: true,
        storage: false,
        schema: spec({ type: "integer", minimum: 0 }, { colour: { type: "string" } }),
        subresources: { status: {} },
      },
      {
        name: "v1",
        served: true,
        storage: true,
        schema: spec({
          type: "object",
          required: ["count"],
          properties: { count: { type: "integer", minimum: 0 }, colour },
        }),
        subresources: { status: {} },
        additionalPrinterColumns: [
          { name: "Sails", type: "integer", jsonPath: ".spec.sails.count" },
          { name: "Phase", type: "string", jsonPath: ".status.phase" },
        ],
      },
    ],
  },
};
const webhook = {
  apiVersion: "admissionregistration.k8s.io/v1",
  kind: "ValidatingWebhookConfiguration",
  metadata: { name: group },
  webhooks: [
    {
      name: `boats.${group}`,
      clientConfig: at("/validate"),
      rules: [{ apiGroups: [group], apiVersions: ["v1"], operations: ["CREATE", "UPDATE"], resources: ["boats"] }],
      sideEffects: "None",
      admissionReviewVersions: ["v1"],
      timeoutSeconds: 2,
    },
  ],
};

/** Creates, or points what is there at this process. */
async function install(): Promise<void> {
  const definitions = kubeconfig.makeApiClient(ApiextensionsV1Api);
  const webhooks = kubeconfig.makeApiClient(AdmissionregistrationV1Api);
  try {
    await definitions.createCustomResourceDefinition({ body: definition });
  } catch (error) {
    if (!isStatus(error, 409)) throw error;
    await definitions.patchCustomResourceDefinition(
      { name: definition.metadata.name, body: { spec: { conversion: definition.spec.conversion } } },
      merge,
    );
  }
  try {
    await webhooks.createValidatingWebhookConfiguration({ body: webhook });
  } catch (error) {
    if (!isStatus(error, 409)) throw error;
    await webhooks.patchValidatingWebhookConfiguration({ name: group, body: { webhooks: webhook.webhooks } }, merge);
  }
  for (;;) {
    const { status } = await definitions.readCustomResourceDefinition({ name: definition.metadata.name });
    if (status?.conditions?.some(({ type, status: value }) => type === "Established" && value === "True")) return;
    await new Promise((next) => setTimeout(next, 20));
  }
}

// --- the loop ---

const resource = { group, version: "v1", plural: "boats" };

async function reconcile(boat: Boat): Promise<void> {
  const {
    name = "",
    namespace = "",
    uid = "",
    generation = 0,
    finalizers = [],
    deletionTimestamp,
  } = boat.metadata ?? {};
  const key = { ...resource, namespace, name };
  if (deletionTimestamp) {
    if (!finalizers.includes(finalizer)) return;
    await core.patchNamespacedConfigMap(
      { namespace, name: "harbour", body: { data: { [name]: `left, says ${identity}` } } },
      merge,
    );
    await custom.patchNamespacedCustomObject(
      { ...key, body: { metadata: { finalizers: finalizers.filter((each) => each !== finalizer) } } },
      merge,
    );
    return;
  }
  if (!finalizers.includes(finalizer)) {
    await custom.patchNamespacedCustomObject(
      { ...key, body: { metadata: { finalizers: [...finalizers, finalizer] } } },
      merge,
    );
    return; // the change comes by
  }
  const { count, colour: dyed } = boat.spec.sails;
  const manifest = {
    metadata: {
      name: `${name}-manifest`,
      ownerReferences: [
        { apiVersion: `${group}/v1`, kind: "Boat", name, uid, controller: true, blockOwnerDeletion: true },
      ],
    },
    data: { sails: String(count), colour: dyed ?? "" },
  };
  try {
    await core.createNamespacedConfigMap({ namespace, body: manifest });
  } catch (error) {
    if (!isStatus(error, 409)) throw error;
    await core.replaceNamespacedConfigMap({ namespace, name: manifest.metadata.name, body: manifest });
  }
  if (boat.status?.observedGeneration === generation) return;
  const status = { observedGeneration: generation, phase: boat.spec.paused ? "Moored" : "Sailing" };
  await custom.patchNamespacedCustomObjectStatus({ ...key, body: { status } }, merge);
}

const queue = new Map<string, Boat>();
let working = false;

async function work(): Promise<void> {
  if (working) return;
  working = true;
  for (const [key, boat] of queue) {
    queue.delete(key);
    try {
      await reconcile(boat);
    } catch (error) {
      // A boat that is gone needs nothing; one that changed comes by again.
      if (!isStatus(error, 404) && !isStatus(error, 409)) throw error;
    }
  }
  working = false;
}

async function lead(): Promise<void> {
  await install();
  const list = () => custom.listClusterCustomObject(resource) as Promise<KubernetesListObject<Boat>>;
  const informer = makeInformer<Boat>(kubeconfig, `/apis/${group}/v1/boats`, list);
  const mark = (boat: Boat) => {
    queue.set(`${boat.metadata?.namespace}/${boat.metadata?.name}`, boat);
    void work();
  };
  informer.on("add", mark);
  informer.on("update", mark);
  informer.on("error", (error) => {
    console.log(`informer: ${error}`);
    setTimeout(() => void informer.start(), 100);
  });
  await informer.start();
  console.log(`${identity} leads`);
}

// --- leader election: one Lease, renewed by its holder, taken when it has run out ---

const place = { namespace: "default", name: "fleet-operator" };

async function tryToLead(): Promise<boolean> {
  const mine = { holderIdentity: identity, leaseDurationSeconds: 2, renewTime: new V1MicroTime() };
  try {
    const lease = await leases.readNamespacedLease(place);
    const { holderIdentity, renewTime } = lease.spec ?? {};
    // The client reads this type as a string, whatever its declaration says.
    const fresh = renewTime && Date.now() - Date.parse(String(renewTime)) < leaseMs;
    if (holderIdentity !== identity && holderIdentity && fresh) return false;
    await leases.replaceNamespacedLease({ ...place, body: { ...lease, spec: { ...lease.spec, ...mine } } });
  } catch (error) {
    if (isStatus(error, 409)) return false;
    if (!isStatus(error, 404)) throw error;
    await leases.createNamespacedLease({
      namespace: place.namespace,
      body: { metadata: { name: place.name }, spec: mine },
    });
  }
  return true;
}

let leading = false;
for (;;) {
  const held = await tryToLead();
  if (leading && !held) throw new Error("lost the lease");
  if (held && !leading) await lead();
  leading = held;
  await new Promise((next) => setTimeout(next, leaseMs / 5));
}
