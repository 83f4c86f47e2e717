/**
 * Namespaces end in two steps: DELETE marks them as terminating, a controller empties them and takes its name off `spec.finalizers`
 * through the finalize subresource, and the last finalizer takes the object along. Follows pkg/registry/core/namespace.
 */
import type { Strategy } from "#api";
import { type DeepReadonly, type KubernetesObject, statusError } from "#machinery";
import type { Answer } from "../answer.ts";
import type { Call } from "./call.ts";
import type { KindHooks, RegistryCore } from "./core.ts";
import { storedOf } from "./create.ts";
import { checkVersion, decodeBody, expectedOf } from "./decode.ts";
import { checkPreconditions, type DeletionPlan, type DeletionRequest, finalizers, planDeletion } from "./deletion.ts";
import { readWriteOptions } from "./options.ts";
import { rfc3339 } from "./rfc3339.ts";
import { checkSameName, modify } from "./update.ts";
import { toStored, trackOwners } from "./versions.ts";

interface Namespace extends KubernetesObject {
  spec?: { finalizers?: string[] };
  status?: { phase?: string };
}

const finalizersOf = (object: DeepReadonly<KubernetesObject>): readonly string[] =>
  (object as DeepReadonly<Namespace>).spec?.finalizers ?? [];

export const namespaceHooks: KindHooks = {
  holdsDeletion: (object) => finalizersOf(object).length > 0,
  planDeletion: planNamespaceDeletion,
};

function planNamespaceDeletion(request: DeletionRequest): DeletionPlan {
  const { object, options, now } = request;
  checkPreconditions(request);
  const { metadata = {} } = object;
  if (metadata.deletionTimestamp !== undefined) {
    return finalizersOf(object).length > 0 ? { type: "pending" } : planDeletion(request);
  }
  const { orphanDependents: orphan, propagationPolicy: policy } = options;
  const present = new Set(metadata.finalizers);
  setMember(present, finalizers.orphan, orphan ?? (policy === undefined ? undefined : policy === "Orphan"));
  const foreground = orphan === undefined ? (policy === undefined ? undefined : policy === "Foreground") : !orphan;
  setMember(present, finalizers.foreground, foreground);
  const { finalizers: _, ...rest } = metadata;
  const marked: Namespace = {
    ...(object as KubernetesObject), // not changed, only copied from
    metadata: {
      ...(rest as object),
      deletionTimestamp: rfc3339(now),
      ...(present.size > 0 && { finalizers: [...present] }),
    },
    status: { ...(object as DeepReadonly<Namespace>).status, phase: "Terminating" },
  };
  return { type: "mark", object: marked };
}

function setMember(set: Set<string>, member: string, wanted: boolean | undefined): void {
  if (wanted === true) set.add(member);
  else if (wanted === false) set.delete(member);
}

/** Only `spec.finalizers` changes. */
const finalizeStrategy: Strategy<Namespace> = {
  prepareForUpdate(object, old) {
    if (old.status) object.status = old.status;
    else delete object.status;
  },
  resetFields: ["status"],
};

/** PUT namespaces/<name>/finalize. */
export async function finalizeNamespace(call: Call, core: RegistryCore): Promise<Answer> {
  const { resource } = call;
  if (call.verb !== "update") throw statusError.methodNotAllowed();
  const kind = storedOf(call);
  const options = readWriteOptions(call.query, "UpdateOptions", call);
  const sent = await decodeBody(call, {
    expected: expectedOf(resource),
    fieldValidation: options.fieldValidation,
    schemaOf: core.typeOf,
  });
  checkVersion(sent, resource);
  checkSameName(sent, call);
  const text = JSON.stringify(sent);
  const { object } = await modify(core, call, {
    options,
    subresource: "finalize",
    strategy: finalizeStrategy,
    create: false,
    uid: sent.metadata?.uid,
    make: async (existing) => {
      const object: Namespace = await toStored(resource, JSON.parse(text));
      kind.behaviour.defaults?.(object);
      trackOwners(
        {
          core,
          resource,
          subresource: "finalize",
          manager: options.manager,
          strategy: finalizeStrategy,
          now: call.now,
        },
        existing,
        object,
      );
      return object;
    },
  });
  return { type: "object", status: 200, resource, object };
}
