/**
 * Devices that not everybody may have: admin access only in namespaces labelled for it, allocations only from who may bind claims, and what is
 * said of a device only from who may speak for its driver. Upstream checks this with the objects; its field errors are the same.
 */
import type { Namespace, RequestUser, ResourceClaim, ResourceClaimTemplate } from "#api";
import { type DeepReadonly, type FieldError, FieldPath, fieldError, jsonEqual } from "#machinery";
import { invalid } from "../registry/errors.ts";
import { forbiddenError } from "../security/forbidden.ts";
import type { Attributes, Authorizer } from "../security.ts";
import type { AdmissionPlugin, AdmissionRequest, Lookup } from "./chain.ts";

const group = "resource.k8s.io";
const adminLabel = "resource.kubernetes.io/admin-access";
const nodeNameKey = "authentication.kubernetes.io/node-name";

type Status = DeepReadonly<NonNullable<ResourceClaim["status"]>>;
type Allocation = NonNullable<Status["allocation"]>;

export const deviceClaims = (authorizer: Authorizer): AdmissionPlugin => ({
  name: "DeviceClaims",
  handles: ({ operation, resource, subresource }) =>
    resource.group === group &&
    (resource.resource === "resourceclaims" || resource.resource === "resourceclaimtemplates") &&
    operation === (subresource === "status" ? "UPDATE" : "CREATE"),
  async validate(request, lookup) {
    const errors =
      request.subresource === "status"
        ? await checkStatus(request, { lookup, authorizer })
        : await checkSpec(request, lookup);
    const name = request.object?.metadata?.name ?? "";
    if (errors.length > 0) throw invalid(request.resource, name, errors);
  },
});

async function checkSpec({ resource, object, namespace }: AdmissionRequest, lookup: Lookup): Promise<FieldError[]> {
  const spec =
    resource.resource === "resourceclaims"
      ? (object as ResourceClaim).spec // one of the two
      : (object as ResourceClaimTemplate).spec?.spec;
  const at = (spec?.devices?.requests ?? []).findIndex(({ exactly }) => exactly?.adminAccess === true);
  if (at < 0) return [];
  return checkAdmin(FieldPath.root("spec").child("devices").child("requests").index(at), { namespace, lookup });
}

async function checkAdmin(
  of: FieldPath,
  { namespace, lookup }: { namespace: string; lookup: Lookup },
): Promise<FieldError[]> {
  const found = await lookup.get<Namespace>(lookup.kind("", "namespaces"), "", namespace);
  if (found?.metadata.labels?.[adminLabel] === "true") return [];
  const detail = `admin access to devices requires the \`${adminLabel}: true\` label on the containing namespace`;
  return [fieldError.forbidden(of.child("adminAccess"), detail)];
}

async function checkStatus(
  request: AdmissionRequest,
  { lookup, authorizer }: { lookup: Lookup; authorizer: Authorizer },
): Promise<FieldError[]> {
  const { namespace, user, verb = "update" } = request;
  const status: Status = (request.object as ResourceClaim).status ?? {}; // claims only
  const old: Status = (request.old as DeepReadonly<ResourceClaim>).status ?? {};
  const errors: FieldError[] = [];
  const path = FieldPath.root("status");
  const adminAt = adminResult(status);
  if (adminAt >= 0 && adminResult(old) < 0) {
    const results = path.child("allocation").child("devices").child("results");
    errors.push(...(await checkAdmin(results.index(adminAt), { namespace, lookup })));
  }
  const ask = async (change: Pick<Attributes, "verb" | "subresource" | "namespace" | "name">) => {
    const attributes: Attributes = {
      user,
      resourceRequest: true,
      path: "",
      apiGroup: group,
      apiVersion: request.resource.version,
      resource: "resourceclaims",
      ...change,
    };
    const { allowed, reason } = await authorizer.authorize(attributes);
    return allowed ? undefined : forbiddenError(attributes, reason).message;
  };
  if (
    !jsonEqual(status.allocation ?? null, old.allocation ?? null) ||
    !jsonEqual(status.reservedFor ?? [], old.reservedFor ?? [])
  ) {
    const why = await ask({ verb, subresource: "binding", namespace: "", name: "" });
    const detail = `changing status.allocation or status.reservedFor requires resource="resourceclaims/binding", verb="${verb}" permission: ${why}`;
    if (why !== undefined) errors.push(fieldError.forbidden(path.child("allocation"), detail));
  }
  if (!status.allocation) return errors;
  const isAssociated = isOfNode(user, nodeOf(status.allocation));
  const verbs = [...(isAssociated ? [`associated-node:${verb}`] : []), `arbitrary-node:${verb}`];
  for (const name of changedDrivers(status, old)) {
    let first: string | undefined;
    let isAllowed = false;
    for (const each of verbs) {
      const why = await ask({ verb: each, subresource: "driver", namespace, name });
      isAllowed = why === undefined;
      if (isAllowed) break;
      first ??= why;
    }
    const detail = `changing status.devices requires resource="resourceclaims/driver", verb="[${verbs.join(" ")}]" permission: ${first}`;
    if (!isAllowed) errors.push(fieldError.forbidden(path.child("devices"), detail));
  }
  return errors;
}

const adminResult = ({ allocation }: Status): number =>
  (allocation?.devices?.results ?? []).findIndex(({ adminAccess }) => adminAccess === true);

function changedDrivers({ devices = [] }: Status, { devices: before = [] }: Status): string[] {
  const keyOf = ({ driver, pool, device, shareID = "" }: (typeof devices)[number]) =>
    JSON.stringify([driver, pool, device, shareID]);
  const old = new Map(before.map((each) => [keyOf(each), each]));
  const drivers = new Set<string>();
  for (const each of devices) {
    const known = old.get(keyOf(each));
    old.delete(keyOf(each));
    if (!known || !jsonEqual(known, each)) drivers.add(each.driver);
  }
  for (const { driver } of old.values()) drivers.add(driver);
  return [...drivers].sort();
}

/** The one node on which the allocation can be used. */
function nodeOf({ nodeSelector }: Allocation): string {
  const [term, ...terms] = nodeSelector?.nodeSelectorTerms ?? [];
  const [field, ...fields] = term?.matchFields ?? [];
  if (terms.length + fields.length + (term?.matchExpressions?.length ?? 0) > 0) return "";
  if (field?.key !== "metadata.name" || field.operator !== "In" || field.values?.length !== 1) return "";
  return field.values[0] ?? "";
}

function isOfNode({ name, extra }: RequestUser, node: string): boolean {
  const [own, ...others] = extra[nodeNameKey] ?? [];
  return node !== "" && name.startsWith("system:serviceaccount:") && others.length === 0 && own === node;
}
