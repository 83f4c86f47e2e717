/** Between the version a request speaks and the one that is stored, and which fields a writer owns in it. */
import type { Strategy } from "#api";
import {
  cloneJson,
  type FieldSet,
  fieldSet,
  type KubernetesObject,
  type ManagedFieldsEntry,
  omitEmpty,
  type OtherVersion,
  StatusError,
  updateManagedFields,
} from "#machinery";
import type { StoredObject } from "../cache/stored-object.ts";
import { printGroupVersion, type Resource } from "../resource.ts";
import { type ConvertNow, withConversions } from "./awaited-conversions.ts";
import type { RegistryCore } from "./core.ts";
import { rfc3339 } from "./rfc3339.ts";

/** May change and return its argument. */
export async function toStored({ conversion, stored }: Resource, object: KubernetesObject): Promise<KubernetesObject> {
  if (conversion) object = await conversion.toStored(object);
  if (stored) object.apiVersion = stored.apiVersion;
  return object;
}

/** A copy, in the version of the resource, that may be changed. */
export function versioned(resource: Resource, object: StoredObject): KubernetesObject {
  return fromStored(resource, object.parse());
}

export function fromStored({ conversion, groupVersion }: Resource, object: KubernetesObject): KubernetesObject {
  const converted = conversion ? conversion.fromStored(object) : object;
  converted.apiVersion = groupVersion;
  return converted;
}

export interface Ownership {
  readonly core: Pick<RegistryCore, "table">;
  readonly resource: Resource;
  readonly subresource: string;
  readonly manager: string;
  readonly strategy: Strategy<KubernetesObject> | undefined;
  readonly now: number;
}

/**
 * Who owns which field after this write. `result` is in the stored version, defaulted; without conversion both sides are used as they are.
 * A promise only where versions are converted by a webhook.
 */
export function trackOwners(
  ownership: Ownership,
  live: StoredObject | undefined,
  result: KubernetesObject,
): void | Promise<void> {
  const { stored, custom } = ownership.resource;
  // Empty lists have had their say in the defaults; only this one means something still.
  const managedFields = result.metadata?.managedFields;
  if (stored) omitEmpty(result, stored.schema);
  if (managedFields && result.metadata) result.metadata.managedFields = managedFields;
  const sides = { live, result };
  if (!custom) return setManaged(result, ownersAfter(ownership, sides));
  const managed = withConversions((convert) => ownersAfter(ownership, sides, convert));
  if (!(managed instanceof Promise)) return setManaged(result, managed);
  return managed.then(
    (entries) => setManaged(result, entries),
    (error: unknown) => {
      // Who owns what isn't worth a write that would do without; what can't be converted at all fails when it is stored.
      if (!(error instanceof StatusError)) throw error;
      setManaged(result, undefined);
    },
  );
}

function ownersAfter(
  ownership: Ownership,
  { live, result }: { live: StoredObject | undefined; result: KubernetesObject },
  convert?: ConvertNow,
): ManagedFieldsEntry[] | undefined {
  const { resource, manager, subresource, now } = ownership;
  const { conversion } = resource;
  const [before, after] = conversion
    ? [live && versioned(resource, live), fromStored(resource, cloneJson(result))]
    : // Read only, and the same shape whatever apiVersion says.
      [live?.decoded() as KubernetesObject | undefined, result];
  return updateManagedFields({
    schema: resource.schema,
    apiVersion: resource.groupVersion,
    live: before,
    result: after,
    manager,
    subresource,
    time: rfc3339(now),
    ...ownershipRules(ownership, convert),
  });
}

export function setManaged(object: KubernetesObject, managed: ManagedFieldsEntry[] | undefined): void {
  object.metadata ??= {};
  if (managed) object.metadata.managedFields = managed;
  else delete object.metadata.managedFields;
}

const resetSets = new WeakMap<Strategy<KubernetesObject>, FieldSet>();

/** Options of updateManagedFields and applyObject that follow from the resource and its strategy. */
export function ownershipRules({ core, resource, strategy }: Ownership, convert?: ConvertNow) {
  const paths = strategy?.resetFields;
  let resetFields: FieldSet | undefined;
  if (strategy && paths) {
    resetFields = resetSets.get(strategy) ?? fieldSet(...paths.map((path) => path.split(".")));
    resetSets.set(strategy, resetFields);
  }
  return {
    ...(resetFields && { resetFields }),
    ...((resource.conversion || resource.custom) && {
      otherVersion: (apiVersion: string) => otherVersion(core, resource, { apiVersion, convert }),
    }),
  };
}

function otherVersion(
  core: Ownership["core"],
  from: Resource,
  { apiVersion, convert }: { apiVersion: string; convert: ConvertNow | undefined },
): OtherVersion | undefined {
  const version = apiVersion.split("/").at(-1) ?? "";
  const to = core.table.find(from.group, version, from.resource);
  if (!to || printGroupVersion(to.group, to.version) !== apiVersion) return undefined;
  const { custom } = to;
  if (custom && convert) {
    const target = { groupVersion: to.groupVersion, convert: (object: KubernetesObject) => custom.convert(object) };
    return { schema: to.schema, convert: (object) => convert(object, target) };
  }
  return {
    schema: to.schema,
    convert: (object) => {
      const stored = from.conversion ? from.conversion.toStored(cloneJson(object)) : cloneJson(object);
      // Only custom kinds wait for conversions, and they took the way above.
      return stored instanceof Promise ? object : fromStored(to, stored);
    },
  };
}
