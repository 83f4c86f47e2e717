/** What a kind without behaviour of its own does: any object of the right shape is fine, and status changes only through its subresource. */
import type { Kind, ResourceFacts, Strategy } from "#api";
import { type GroupResource, type KubernetesObject, nameIsPathSegment } from "#machinery";

type WithStatus = KubernetesObject & { status?: unknown };

/** PUT and PATCH of `/status`: everything else stays. */
export const statusStrategy: Strategy<WithStatus> = {
  prepareForUpdate(object, old) {
    const { status, metadata } = object;
    for (const key of Object.keys(object)) delete (object as Record<string, unknown>)[key]; // refilled at once
    const { managedFields } = metadata ?? {};
    const { managedFields: _, ...kept } = old.metadata ?? {};
    Object.assign(object, old, { metadata: { ...kept, ...(managedFields && { managedFields }) } });
    if (metadata?.resourceVersion !== undefined)
      object.metadata = { ...object.metadata, resourceVersion: metadata.resourceVersion };
    if (status === undefined) delete object.status;
    else object.status = status;
  },
  resetFields: ["spec"],
};

export function plainKind(at: GroupResource, { kind, version, subresources }: ResourceFacts): Kind<WithStatus> {
  const plain = { ...at, kind, storageVersion: version, validateName: nameIsPathSegment };
  if (!subresources.some(({ name }) => name === "status")) return plain;
  return {
    ...plain,
    prepareForCreate(object) {
      delete object.status;
    },
    prepareForUpdate(object, old) {
      if (old.status === undefined) delete object.status;
      else object.status = old.status;
    },
    resetFields: ["status"],
    subresources: { status: statusStrategy },
  };
}
