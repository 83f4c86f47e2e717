/** What the plugins of both sorts of policies share. */
import { loadCel } from "#api";
import type { DeepReadonly, KubernetesObject } from "#machinery";
import type { WatchCaches } from "../../cache/watch-caches.ts";
import type { Resource, ResourceTable } from "../../resource.ts";
import type { Authorizer } from "../../security.ts";
import type { AdmissionPlugin, AdmissionRequest, Lookup } from "../chain.ts";
import { authorizerVariables } from "./authorizer.ts";
import type { Subject } from "./evaluate.ts";

export interface PolicyPluginOptions {
  readonly table: ResourceTable;
  readonly caches: WatchCaches;
  readonly authorizer: Authorizer;
}

/** Reviews aren't stored, and policies about policies could lock everybody out. */
const exempt = new Set([
  ...["validatingadmissionpolicies", "validatingadmissionpolicybindings"],
  ...["mutatingadmissionpolicies", "mutatingadmissionpolicybindings"],
  ...["selfsubjectreviews", "tokenreviews", "localsubjectaccessreviews"],
  ...["selfsubjectaccessreviews", "selfsubjectrulesreviews", "subjectaccessreviews"],
]);
const exemptGroups = new Set(["admissionregistration.k8s.io", "authentication.k8s.io", "authorization.k8s.io"]);

export const concernsPolicies = ({ resource }: Pick<AdmissionRequest, "resource">): boolean =>
  !(exemptGroups.has(resource.group) && exempt.has(resource.resource));

export interface Shown {
  readonly resource: Resource;
  readonly object: DeepReadonly<KubernetesObject> | undefined;
  readonly old: DeepReadonly<KubernetesObject> | undefined;
  readonly params: DeepReadonly<KubernetesObject> | undefined;
}

export async function subjectOf(
  { request, lookup, authorizer }: { request: AdmissionRequest; lookup: Lookup; authorizer: Authorizer },
  shown: Shown,
): Promise<Subject> {
  const { resource, namespace: name } = request;
  const namespaced = resource.namespaced && name !== "";
  const namespace = namespaced ? await lookup.get(lookup.kind("", "namespaces"), "", name) : undefined;
  return { ...shown, request, namespace, authorizer: authorizerVariables(request, authorizer) };
}

/**
 * Not a rule: the step before webhooks and policies are validated that may wait. Validation compiles their expressions, with an engine
 * that is loaded when the first one comes along.
 */
export const expressionEngine: AdmissionPlugin = {
  name: "ExpressionEngine",
  handles: ({ resource, operation }) =>
    resource.group === "admissionregistration.k8s.io" && (operation === "CREATE" || operation === "UPDATE"),
  mutate: ({ object }) => (hasExpressions(object) ? loadCel() : undefined),
};

const hasExpressions = (object: object | undefined): boolean => {
  const { spec, webhooks = [] } = (object ?? {}) as {
    spec?: object;
    webhooks?: readonly { matchConditions?: object }[];
  }; // of one of the kinds
  return spec !== undefined || webhooks.some(({ matchConditions }) => matchConditions !== undefined);
};
