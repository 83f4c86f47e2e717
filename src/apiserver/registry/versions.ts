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
  updateManagedFields,
} from "#machinery";
import type { StoredObject } from "../cache/stored-object.ts";
import { printGroupVersion, type Resource } from "../resource.ts";
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
 */
export function trackOwners(ownership: Ownership, live: StoredObject | undefined, result: KubernetesObject): void {
  const { resource, manager, subresource, now } = ownership;
  const { conversion, stored } = resource;
  // Empty lists have had their say in the defaults; only this one means something still.
  const managedFields = result.metadata?.managedFields;
  if (stored) omitEmpty(result, stored.schema);
  if (managedFields && result.metadata) result.metadata.managedFields = managedFields;
  const [before, after] = conversion
    ? [live && versioned(resource, live), fromStored(resource, cloneJson(result))]
    : // Read only, and the same shape whatever apiVersion says.
      [live?.decoded() as KubernetesObject | undefined, result];
  const managed = updateManagedFields({
    schema: resource.schema,
    apiVersion: resource.groupVersion,
    live: before,
    result: after,
    manager,
    subresource,
    time: rfc3339(now),
    ...ownershipRules(ownership),
  });
  setManaged(result, managed);
}

export function setManaged(object: KubernetesObject, managed: ManagedFieldsEntry[] | undefined): void {
  object.metadata ??= {};
  if (managed) object.metadata.managedFields = managed;
  else delete object.metadata.managedFields;
}

const resetSets = new WeakMap<Strategy<KubernetesObject>, FieldSet>();

/** Options of updateManagedFields and applyObject that follow from the resource and its strategy. */
export function ownershipRules({ core, resource, strategy }: Ownership) {
  const paths = strategy?.resetFields;
  let resetFields: FieldSet | undefined;
  if (strategy && paths) {
    resetFields = resetSets.get(strategy) ?? fieldSet(...paths.map((path) => path.split(".")));
    resetSets.set(strategy, resetFields);
  }
  return {
    ...(resetFields && { resetFields }),
    ...(resource.conversion && { otherVersion: (apiVersion: string) => otherVersion(core, resource, apiVersion) }),
  };
}

function otherVersion(core: Ownership["core"], from: Resource, apiVersion: string): OtherVersion | undefined {
  const version = apiVersion.split("/").at(-1) ?? "";
  const to = core.table.find(from.group, version, from.resource);
  if (!to || printGroupVersion(to.group, to.version) !== apiVersion) return undefined;
  return {
    schema: to.schema,
    convert: (object) => {
      const stored = from.conversion ? from.conversion.toStored(cloneJson(object)) : cloneJson(object);
      // Conversions by webhook are asynchronous; their kinds take the fields of all versions as the same.
      return stored instanceof Promise ? object : fromStored(to, stored);
    },
  };
}
