/**
 * The scale subresource: one autoscaling/v1 Scale whatever the kind, written into the object's replicas. Who owns the replicas of the
 * object owns them in its Scale, and the other way round.
 */
import { customScaleKind, type Kind, scaleKind } from "#api";
import {
  applyObject,
  type DeepReadonly,
  type FieldError,
  FieldPath,
  fieldError,
  type KubernetesObject,
  managedFieldsFromScale,
  managedFieldsToScale,
  type PatchMediaType,
  type ReplicasPaths,
  readPatch,
  statusError,
  type TypeSchema,
  updateManagedFields,
} from "#machinery";
import type { Answer } from "../answer.ts";
import { StoredObject } from "../cache/stored-object.ts";
import { headOf, type Resource, type StoredKind } from "../resource.ts";
import type { Call } from "./call.ts";
import type { RegistryCore } from "./core.ts";
import { storedOf } from "./create.ts";
import { decodeBody } from "./decode.ts";
import { invalid, plainError } from "./errors.ts";
import { readWriteOptions, type WriteOptions } from "./options.ts";
import { decodeApplied, isApply, unsupportedPatch } from "./patch.ts";
import { rfc3339 } from "./rfc3339.ts";
import { objectKey } from "./storage.ts";
import { checkSameName, modify } from "./update.ts";
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
  const { verb, target, resource } = call;
  if (verb === "update" || verb === "patch")
    return answer(core, call, { stored: await write(core, call, rules), rules });
  if (verb !== "get") throw statusError.methodNotAllowed();
  const object = await core.storage.read(kind, objectKey(kind, target.namespace, target.name));
  if (!object) throw statusError.notFound(resource, target.name);
  const missing = rules.missing?.(object.decoded() as KubernetesObject); // only read
  if (missing !== undefined) throw statusError.internal(missing);
  return answer(core, call, { stored: object, rules });
}

/** As an object of its own kind, so that it comes in every shape that objects come in. */
function answer(
  core: RegistryCore,
  { resource: { custom } }: Call,
  { stored, rules }: { stored: StoredObject; rules: ScaleRules },
): Answer {
  const { kind: _kind, apiVersion: _version, ...rest } = scaleOf(stored.decoded(), rules);
  const shown = shownScale(schemaOf(core), (custom ? customScaleKind : scaleKind) as Kind<never> as Kind); // only shown Scales
  const body = Buffer.from(JSON.stringify(rest).slice(1));
  const { pool } = core.storage.caches;
  const object = new StoredObject({ kind: shown.stored, key: stored.key, revision: stored.revision, body, pool });
  return { type: "object", status: 200, resource: shown, object };
}

function shownScale(schema: TypeSchema, behaviour: Kind): Resource & { readonly stored: StoredKind } {
  const at = { group: "autoscaling", version: "v1", kind: "Scale", listKind: "ScaleList", namespaced: true, schema };
  const head = headOf(at.kind, scaleVersion);
  const none = { verbs: [], shortNames: [], categories: [], subresources: [], conversion: undefined };
  const named = { ...at, ...none, resource: "scales", singular: "scale", groupVersion: scaleVersion };
  const stored = { ...at, resource: "scales", apiVersion: scaleVersion, prefix: "", head, behaviour };
  return { ...named, head: Buffer.from(head), stored, itemsHaveKind: false };
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
  const { resource } = call;
  const kind = storedOf(call);
  const apply = isApply(call.body);
  const patching = call.verb === "patch";
  const options = readWriteOptions(call.query, patching ? "PatchOptions" : "UpdateOptions", { ...call, apply });
  const writing: Writing = { core, call, options };
  const sent = patching ? undefined : await readScale(writing);
  const body = patching ? await call.body.bytes() : undefined;
  const paths = replicasPaths(core, call);
  const { object } = await modify(core, call, {
    options,
    subresource: "scale",
    // A Scale changes nothing but replicas; the kind's own rules for updates hold.
    strategy: {
      ...kind.behaviour,
      validateUpdate: (next, old, context) =>
        kind.behaviour.validateUpdate?.(next, old, { ...context, subresource: "" }) ?? [],
    },
    create: false,
    uid: sent?.metadata?.uid,
    admission: (object, old) => {
      const view = scaleOf(object, rules);
      return {
        object: view,
        old: scaleOf(old, rules),
        takeOver: () => rules.setReplicas(object, view.spec?.replicas ?? 0),
      };
    },
    make: async (existing) => {
      if (!existing) throw statusError.notFound(resource, call.target.name);
      const next = existing.parse();
      const owners = managedFieldsToScale(next.metadata?.managedFields, paths);
      const live = withManaged(scaleOf(existing.decoded(), rules), owners);
      const wanted = apply
        ? await applied(writing, live, body!) // a patch has a body
        : owned(writing, live, sent ?? patched(writing, live, body!)); // it is either sent or patched
      // Custom kinds check the object, which has its own words for it.
      if (!resource.custom) checkScale(wanted, call);
      const parent = next.metadata?.managedFields;
      const scaleFields = wanted.metadata?.managedFields;
      const { groupVersion: apiVersion } = resource;
      setManaged(next, managedFieldsFromScale({ parent, scale: scaleFields, apiVersion, paths }));
      rules.setReplicas(next, wanted.spec?.replicas ?? 0);
      next.metadata = {
        ...next.metadata,
        resourceVersion: wanted.metadata?.resourceVersion || String(existing.revision),
      };
      return next;
    },
  });
  return object;
}

interface Writing {
  readonly core: RegistryCore;
  readonly call: Call;
  readonly options: WriteOptions;
}

/** Where every served version of the kind has its replicas. */
function replicasPaths({ table }: RegistryCore, call: Call): ReplicasPaths {
  const { group, resource } = storedOf(call);
  const views = [...table.all()].filter(({ stored }) => stored?.group === group && stored.resource === resource);
  const path = ({ stored }: Resource) => [...(stored?.behaviour.scale?.replicasPath ?? ["spec", "replicas"])];
  return Object.fromEntries(views.map((view) => [view.groupVersion, path(view)]));
}

const withManaged = (scale: Scale, managedFields: ReturnType<typeof managedFieldsToScale>): Scale => ({
  ...scale,
  metadata: { ...scale.metadata, ...(managedFields && { managedFields }) },
});

function schemaOf({ typeOf }: RegistryCore) {
  const schema = typeOf(scaleVersion, "Scale");
  if (!schema) throw statusError.internal(`there is no type ${scaleVersion} Scale`);
  return schema;
}

async function readScale({ core, call, options }: Writing): Promise<Scale> {
  const expected = { apiVersion: scaleVersion, kind: "Scale" };
  const { fieldValidation } = options;
  const scale = await decodeBody(call, { expected, fieldValidation, schemaOf: core.typeOf });
  checkSameName(scale, call);
  return scale;
}

function patched({ core, call, options }: Writing, live: Scale, body: Buffer): Scale {
  const { contentType } = call.body;
  if (!/^application\/(json|merge|strategic-merge)-patch\+json$/.test(contentType)) throw unsupportedPatch();
  const { fieldValidation } = options;
  const patch = readPatch(body, { mediaType: contentType as PatchMediaType, fieldValidation }); // checked above
  const { object, warnings } = patch.apply(live as unknown as Record<string, unknown>, schemaOf(core)); // plain JSON
  call.warnings.push(...warnings);
  return object as Scale;
}

/** The Scale with its owners noted. */
function owned({ core, call, options }: Writing, live: Scale, wanted: Scale): Scale {
  // Upstream can't tell the fields of such a Scale and gives up, after which nobody owns the replicas.
  if (call.resource.custom) return withManaged(wanted, []);
  const replicas = wanted.spec?.replicas ?? 0;
  const managed = updateManagedFields({
    schema: schemaOf(core),
    apiVersion: scaleVersion,
    live,
    result: { ...live, spec: replicas === 0 ? {} : { replicas } } as Scale,
    manager: options.manager,
    subresource: "scale",
    time: rfc3339(call.now),
  });
  return withManaged({ ...wanted, metadata: { ...wanted.metadata, managedFields: [] } }, managed);
}

async function applied({ core, call, options }: Writing, live: Scale, body: Buffer): Promise<Scale> {
  const sent = await decodeApplied(call, body, options);
  if (sent.refusal) throw sent.refusal;
  call.warnings.push(...sent.warnings);
  if (call.resource.custom) throw plainError(noCustomApply);
  const { object } = applyObject({
    schema: schemaOf(core),
    apiVersion: scaleVersion,
    kind: "Scale",
    live,
    applied: sent.object,
    manager: options.manager,
    subresource: "scale",
    force: call.query.boolean("force"),
    time: rfc3339(call.now),
  });
  checkSameName(object, call);
  return object as Scale;
}

const noCustomApply = `failed to create manager for existing fields: failed to convert live object (/; ${scaleVersion}, Kind=Scale) to proper version: request to convert CR to an invalid group/version: ${scaleVersion}`;

function checkScale(scale: Scale, { target }: Call): void {
  const errors: FieldError[] = [];
  const replicas = scale.spec?.replicas ?? 0;
  const path = FieldPath.root("spec").child("replicas");
  if (replicas < 0) errors.push(fieldError.invalid(path, replicas, "must be greater than or equal to 0"));
  if (errors.length > 0) throw invalid({ group: "autoscaling", kind: "Scale" }, target.name, errors);
}
