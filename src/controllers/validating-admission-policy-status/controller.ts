/** Says in the status of each validating policy what type checking found, once for each generation. */
import { celEngine, loadCel, splitGroupVersion, type ValidatingAdmissionPolicy } from "#api";
import type { DeclType } from "#cel";
import type { Client, WorkQueue } from "#client";
import { type DeepReadonly, isStatusError } from "#machinery";
import { type Controller, defineController, watch } from "../lib/controller.ts";
import { nameOf } from "../lib/objects.ts";
import { declTypeOf, type GroupVersionKind, type OpenApiDocument } from "./schema.ts";
import { type CheckedType, type GroupVersionResource, namedResources, typesMax, typeWarnings } from "./type-check.ts";

const manager = "validatingadmissionpolicy-status-controller";

export const validatingAdmissionPolicyStatusController: Controller = defineController({
  name: manager,
  account: manager,
  create({ client, informers }) {
    const policies = informers.of("admissionregistration.k8s.io/v1/validatingadmissionpolicies");

    async function reconcile(name: string): Promise<void> {
      const policy = policies.get(name);
      if (!policy || (policy.metadata?.generation ?? 0) <= (policy.status?.observedGeneration ?? 0)) return;
      const expressionWarnings = await check(client, policy);
      const status = {
        observedGeneration: policy.metadata?.generation,
        typeChecking: expressionWarnings.length > 0 ? { expressionWarnings } : {},
      };
      const { apiVersion, kind } = { apiVersion: "admissionregistration.k8s.io/v1", kind: "ValidatingAdmissionPolicy" };
      await client
        .resource("admissionregistration.k8s.io/v1/validatingadmissionpolicies")
        .patch(
          name,
          { apiVersion, kind, metadata: { name }, status },
          { type: "apply", subresource: "status", fieldManager: manager, force: true },
        );
    }

    return [
      {
        watches(queue: WorkQueue) {
          const mark = (policy: Parameters<typeof nameOf>[0]) => queue.add(nameOf(policy));
          return [watch(policies, { added: mark, updated: mark })];
        },
        reconcile,
        workers: 1,
      },
    ];
  },
});

async function check(client: Client, policy: DeepReadonly<ValidatingAdmissionPolicy>) {
  await loadCel();
  const server = createSchemaReader(client);
  const types: CheckedType[] = [];
  for (const resource of namedResources(policy).slice(0, typesMax)) {
    const kind = await server.kindOf(resource);
    const type = kind && (await server.typeOf(kind));
    if (
      kind &&
      type &&
      !types.some((each) => each.kind === kind.kind && each.group === kind.group && each.version === kind.version)
    )
      types.push({ ...kind, type });
  }
  const order = ({ group, version, kind }: GroupVersionKind) => `${group}\0${version}\0${kind}`;
  types.sort((a, b) => (order(a) < order(b) ? -1 : 1));
  const { paramKind } = policy.spec ?? {};
  const params =
    paramKind &&
    (await server.typeOf({ ...splitGroupVersion(paramKind.apiVersion ?? ""), kind: paramKind.kind ?? "" }));
  return typeWarnings(policy, types, params);
}

/** Discovery and OpenAPI of the server, each document asked for once. */
function createSchemaReader({ transport }: Client) {
  const asked = new Map<string, Promise<unknown>>();
  const get = <T>(path: string): Promise<T | undefined> => {
    const known = asked.get(path) ?? readUnlessMissing(path);
    asked.set(path, known);
    return known as Promise<T | undefined>; // each path has its own shape
  };
  async function readUnlessMissing(path: string): Promise<unknown> {
    try {
      return await transport.request({ method: "GET", path });
    } catch (error) {
      if (isStatusError(error, "NotFound")) return undefined;
      throw error;
    }
  }
  const rootOf = ({ group, version }: { group: string; version: string }) =>
    group === "" ? `api/${version}` : `apis/${group}/${version}`;
  return {
    async kindOf({ resource, ...at }: GroupVersionResource): Promise<GroupVersionKind | undefined> {
      const list = await get<{ resources?: { name: string; kind: string }[] }>(`/${rootOf(at)}`);
      const found = list?.resources?.find(({ name }) => name === resource);
      return found && { ...at, kind: found.kind };
    },
    async typeOf(kind: GroupVersionKind): Promise<DeclType | undefined> {
      const document = await get<OpenApiDocument>(`/openapi/v3/${rootOf(kind)}`);
      return document && declTypeOf(celEngine(), document, kind);
    },
  };
}
