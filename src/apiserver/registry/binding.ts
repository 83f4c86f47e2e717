/** POST pods/<name>/binding: the scheduler's decision. Follows pkg/registry/core/pod/storage. */
import type { Pod } from "#api";
import {
  type FieldError,
  FieldPath,
  fieldError,
  type KubernetesObject,
  printFieldErrors,
  type Status,
  statusError,
} from "#machinery";
import type { Answer } from "../answer.ts";
import { admitCreate } from "./admit-create.ts";
import type { Call } from "./call.ts";
import type { RegistryCore } from "./core.ts";
import { decodeBody } from "./decode.ts";
import { plainError } from "./errors.ts";
import { readWriteOptions } from "./options.ts";
import { rfc3339 } from "./rfc3339.ts";
import { modify } from "./update.ts";

interface Binding extends KubernetesObject {
  target?: { kind?: string; name?: string };
}

const success: Status = { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", code: 201 };

export async function bindPod(call: Call, core: RegistryCore): Promise<Answer> {
  const options = readWriteOptions(call.query, "CreateOptions", call);
  const binding: Binding = await decodeBody(call, {
    expected: { apiVersion: "v1", kind: "Binding" },
    fieldValidation: options.fieldValidation,
    schemaOf: core.typeOf,
  });
  const { name: sentName = "", uid } = binding.metadata ?? {};
  if (sentName !== call.target.name) {
    throw statusError.badRequest("name in URL does not match name in Binding object");
  }
  await admitCreate(core, call, { object: binding, options });
  checkTarget(binding);
  await modify(core, call, {
    options,
    subresource: "binding",
    strategy: undefined,
    create: false,
    admission: "done",
    uid,
    make: async (existing) => {
      const pod = existing?.parse() as Pod; // modify found it, and the call is about pods
      assign(pod, binding, call);
      return pod;
    },
  });
  return { type: "value", status: 201, value: success };
}

/** POST bindings: the old way, the pod's name is in the body. */
export async function bindPodOfBody(call: Call, core: RegistryCore): Promise<Answer> {
  const resource = core.table.find("", "v1", "pods");
  if (!resource) throw statusError.unknownPath();
  const binding: Binding = await decodeBody(call, {
    expected: { apiVersion: "v1", kind: "Binding" },
    fieldValidation: "Ignore",
    schemaOf: core.typeOf,
  });
  const name = binding.metadata?.name ?? "";
  if (name === "") throw statusError.badRequest("Name parameter required.");
  const body = { ...call.body, contentType: "application/json", value: binding };
  return bindPod(
    { ...call, resource, body, target: { ...call.target, resource: "pods", name, subresource: "binding" } },
    core,
  );
}

function checkTarget({ target = {} }: Binding): void {
  const errors: FieldError[] = [];
  const path = FieldPath.root("target");
  if (target.kind && target.kind !== "Node")
    errors.push(fieldError.notSupported(path.child("kind"), target.kind, ["Node", "<empty>"]));
  if (!target.name) errors.push(fieldError.required(path.child("name")));
  // Upstream forgets to make a status of it.
  if (errors.length > 0) throw plainError(printFieldErrors(errors));
}

function assign(pod: Pod, { target, metadata }: Binding, { target: { name }, now }: Call): void {
  const conflict = (why: string) =>
    statusError.conflict({ group: "", resource: "pods/binding" }, name, `pod ${name} ${why}`);
  const { spec } = pod;
  if (!spec) return;
  if (pod.metadata.deletionTimestamp) throw conflict("is being deleted, cannot be assigned to a host");
  if (spec.nodeName) throw conflict(`is already assigned to node ${JSON.stringify(spec.nodeName)}`);
  if ((spec.schedulingGates?.length ?? 0) > 0) throw conflict("has non-empty .spec.schedulingGates");
  spec.nodeName = target?.name ?? "";
  if (metadata?.annotations) pod.metadata.annotations = { ...pod.metadata.annotations, ...metadata.annotations };
  // Where it was to go says nothing any more.
  const { nominatedNodeName: _, conditions = [], ...status } = pod.status ?? {};
  const others = conditions.filter(({ type }) => type !== "PodScheduled");
  pod.status = {
    ...status,
    conditions: [
      ...others,
      { type: "PodScheduled", status: "True", lastProbeTime: null as never, lastTransitionTime: rfc3339(now) },
    ],
  };
}
