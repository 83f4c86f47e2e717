/** The scale subresource: one autoscaling/v1 Scale whatever the kind, written into the object's replicas. */
import {
  type DeepReadonly,
  type FieldError,
  FieldPath,
  fieldError,
  type KubernetesObject,
  managedFieldsFromScale,
  managedFieldsToScale,
  readPatch,
  type PatchMediaType,
  type ReplicasPaths,
  statusError,
  updateManagedFields,
} from "#machinery";
import type { Kind } from "#api";
import type { Answer } from "../answer.ts";
import type { StoredObject } from "../cache/stored-object.ts";
import type { Call } from "./call.ts";
import type { RegistryCore } from "./core.ts";
import { storedOf } from "./create.ts";
import { decodeBody } from "./decode.ts";
import { invalid } from "./errors.ts";
import { readWriteOptions } from "./options.ts";
import { unsupportedPatch } from "./patch.ts";
import { rfc3339 } from "./rfc3339.ts";
import { objectKey } from "./storage.ts";
import { modify } from "./update.ts";
import { setManaged } from "./versions.ts";

interface Scale extends KubernetesObject {
  spec?: { replicas?: number };
  status?: { replicas: number; selector?: string };
}

const scaleVersion = "autoscaling/v1";
type ScaleRules = NonNullable<Kind["scale"]>;

export async function scale(core: RegistryCore, call: Call): Promise<Answer> {
  const kind = storedOf(call);
  const rules = kind.behaviour.scale;
  if (!rules) throw statusError.unknownPath();
  if (call.verb === "get") {
    const object = await core.storage.read(kind, objectKey(kind, call.target.namespace, call.target.name));
    if (!object) throw statusError.notFound(call.resource, call.target.name);
    return { type: "value", status: 200, value: scaleOf(object.decoded(), rules) };
  }
  if (call.verb !== "update" && call.verb !== "patch") throw statusError.methodNotAllowed();
  const object = await write(core, call, rules);
  return { type: "value", status: 200, value: scaleOf(object.decoded(), rules) };
}

function scaleOf(object: DeepReadonly<KubernetesObject>, rules: ScaleRules): Scale {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata ?? {};
  const plain = object as KubernetesObject; // the rules only read it
  const replicas = rules.replicasOf(plain);
  const selector = rules.selectorOf(plain);
  return {
    kind: "Scale",
    apiVersion: scaleVersion,
    // JSON leaves out what is undefined.
    metadata: JSON.parse(JSON.stringify({ name, namespace, uid, resourceVersion, creationTimestamp })),
    spec: replicas === 0 ? {} : { replicas },
    status: { replicas: rules.statusReplicasOf(plain), ...(selector && { selector }) },
  };
}

async function write(core: RegistryCore, call: Call, rules: ScaleRules): Promise<StoredObject> {
  const { target, now } = call;
  const kind = storedOf(call);
  const patching = call.verb === "patch";
  const options = readWriteOptions(call.query, patching ? "PatchOptions" : "UpdateOptions", call);
  const sent = patching ? undefined : await readScale(core, call, options.fieldValidation);
  const body = patching ? await call.body.bytes() : undefined;
  const paths: ReplicasPaths = Object.fromEntries(
    [...core.table.all()]
      .filter(({ stored }) => stored === kind)
      .map(({ groupVersion }) => [groupVersion, ["spec", "replicas"]]),
  );
  const { object } = await modify(core, call, {
    options,
    subresource: "scale",
    strategy: {
      ...kind.behaviour,
      // A Scale changes nothing but replicas; the kind's own rules for updates hold.
      validateUpdate: (next, old, context) =>
        kind.behaviour.validateUpdate?.(next, old, { ...context, subresource: "" }) ?? [],
    },
    create: false,
    uid: sent?.metadata?.uid,
    make: async (existing) => {
      if (!existing) throw statusError.notFound(call.resource, target.name);
      const current = scaleOf(existing.decoded(), rules);
      const wanted = sent ?? patched(core, call, { current, body: body!, fieldValidation: options.fieldValidation }); // one of the two is there
      checkScale(wanted, call);
      const next = existing.parse();
      const liveManaged = managedFieldsToScale(next.metadata?.managedFields, paths);
      const schema = core.typeOf(scaleVersion, "Scale");
      const replicas = wanted.spec?.replicas ?? 0;
      if (schema) {
        const managed = updateManagedFields({
          schema,
          apiVersion: scaleVersion,
          live: withManaged(current, liveManaged),
          result: withManaged({ ...current, spec: replicas === 0 ? {} : { replicas } }, liveManaged),
          manager: options.manager,
          subresource: "scale",
          time: rfc3339(now),
        });
        const parent = next.metadata?.managedFields;
        setManaged(
          next,
          managedFieldsFromScale({ parent, scale: managed, apiVersion: call.resource.groupVersion, paths }),
        );
      }
      rules.setReplicas(next, replicas);
      next.metadata = { ...next.metadata, resourceVersion: wanted.metadata?.resourceVersion ?? "" };
      return next;
    },
  });
  return object;
}

const withManaged = (scale: Scale, managedFields: ReturnType<typeof managedFieldsToScale>): Scale => ({
  ...scale,
  metadata: { ...scale.metadata, ...(managedFields && { managedFields }) },
});

async function readScale(
  core: RegistryCore,
  call: Call,
  fieldValidation: "Ignore" | "Warn" | "Strict",
): Promise<Scale> {
  const { target } = call;
  const expected = { apiVersion: scaleVersion, kind: "Scale" };
  const scale = await decodeBody(call, { expected, fieldValidation, schemaOf: core.typeOf });
  const { name = "", namespace = "" } = scale.metadata ?? {};
  if (name !== target.name) {
    throw statusError.badRequest(
      `the name of the object (${name}) does not match the name on the URL (${target.name})`,
    );
  }
  if (namespace !== "" && namespace !== target.namespace) {
    throw statusError.badRequest(
      `the namespace of the object (${namespace}) does not match the namespace on the request (${target.namespace})`,
    );
  }
  return scale;
}

interface Patching {
  readonly current: Scale;
  readonly body: Buffer;
  readonly fieldValidation: "Ignore" | "Warn" | "Strict";
}

function patched(
  core: RegistryCore,
  { body: { contentType }, warnings }: Call,
  { current, body, fieldValidation }: Patching,
): Scale {
  if (!/^application\/(json|merge|strategic-merge)-patch\+json$/.test(contentType)) throw unsupportedPatch();
  const patch = readPatch(body, { mediaType: contentType as PatchMediaType, fieldValidation }); // checked above
  const result = patch.apply(current as unknown as Record<string, unknown>, core.typeOf(scaleVersion, "Scale"));
  warnings.push(...result.warnings);
  return result.object as Scale;
}

function checkScale(scale: Scale, { target }: Call): void {
  const errors: FieldError[] = [];
  const replicas = scale.spec?.replicas ?? 0;
  const path = FieldPath.root("spec").child("replicas");
  if (replicas < 0) errors.push(fieldError.invalid(path, replicas, "must be greater than or equal to 0"));
  if (errors.length > 0) throw invalid({ group: "autoscaling", kind: "Scale" }, target.name, errors);
}
