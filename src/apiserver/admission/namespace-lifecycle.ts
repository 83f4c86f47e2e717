/** Nothing is created in a namespace that isn't there or is ending; the first namespaces stay. Upstream's NamespaceLifecycle. */
import { type KubernetesObject, StatusError, statusError } from "#machinery";
import type { AdmissionPlugin, AdmissionRequest, Lookup } from "./chain.ts";

interface Namespace extends KubernetesObject {
  status?: { phase?: string };
}

const immortal = new Set(["default", "kube-system", "kube-public"]);
/** Access can be asked about namespaces that are ending. */
const reviews = new Set([
  "localsubjectaccessreviews",
  "subjectaccessreviews",
  "selfsubjectaccessreviews",
  "selfsubjectrulesreviews",
]);

const isNamespaces = ({ resource }: Pick<AdmissionRequest, "resource">) =>
  resource.group === "" && resource.resource === "namespaces";

export const namespaceLifecycle: AdmissionPlugin = {
  name: "NamespaceLifecycle",
  handles: ({ operation, resource }) =>
    isNamespaces({ resource })
      ? operation === "DELETE"
      : operation !== "DELETE" && resource.namespaced && !reviews.has(resource.resource),
  mutate: check,
  validate(request) {
    if (!isNamespaces(request) || request.subresource !== "" || !immortal.has(request.name)) return;
    throw statusError.forbidden(request.resource, request.name, "this namespace may not be deleted");
  },
};

async function check(request: AdmissionRequest, lookup: Lookup): Promise<void> {
  const { operation, namespace, resource } = request;
  if (isNamespaces(request)) return;
  const found = await lookup.get<Namespace>(lookup.kind("", "namespaces"), "", namespace);
  if (!found) throw statusError.notFound({ group: "", resource: "namespaces" }, namespace);
  if (operation !== "CREATE" || found.status?.phase !== "Terminating") return;
  const why = `unable to create new content in namespace ${namespace} because it is being terminated`;
  const { status } = statusError.forbidden(resource, request.name, why);
  const cause = {
    reason: "NamespaceTerminating",
    message: `namespace ${namespace} is being terminated`,
    field: "metadata.namespace",
  };
  throw new StatusError({ ...status, details: { ...status.details, causes: [cause] } });
}
