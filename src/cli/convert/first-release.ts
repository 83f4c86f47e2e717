/**
 * Objects as Kubernetes 1.0 wrote them, in today's v1: version v1beta3, and fields of the first v1 that have other names now.
 * Follows 1.0's pkg/api/v1beta3/conversion.go: where an old and a new field are both set, the one it preferred wins, and what contradicts
 * itself is refused.
 */
type Json = { [key: string]: unknown };

export class OldObjectError extends Error {
  override name = "OldObjectError";
}

/** Changes and returns its argument; other versions than v1beta3 and v1 are left alone. */
export function fromFirstRelease(object: Json): Json {
  const { apiVersion, kind } = object;
  if (apiVersion !== "v1beta3" && apiVersion !== "v1") return object;
  const old = apiVersion === "v1beta3";
  object.apiVersion = "v1";
  const spec = part(object, "spec");
  switch (kind) {
    case "Pod":
      if (old) podSpec(spec, "spec");
      if (old) podStatus(part(object, "status"));
      break;
    case "ReplicationController":
    case "PodTemplate": {
      const template = part(kind === "PodTemplate" ? object : spec, "template");
      if (old) podSpec(part(template, "spec"), kind === "PodTemplate" ? "template.spec" : "spec.template.spec");
      break;
    }
    case "Service":
      serviceSpec(spec, old);
      break;
    case "Endpoints":
      if (old)
        for (const subset of items(object, "subsets"))
          for (const address of items(subset, "addresses")) rename(address, "IP", "ip");
      break;
    case "Status":
      if (old) rename(part(object, "details"), "id", "name");
      break;
    default:
      if (typeof kind === "string" && kind.endsWith("List") && Array.isArray(object.items)) {
        for (const item of object.items as Json[]) {
          // Items of a typed list needn't say what they are.
          const bare = item.kind === undefined;
          if (bare && kind !== "List") Object.assign(item, { apiVersion, kind: kind.slice(0, -"List".length) });
          fromFirstRelease(item);
          if (bare) for (const key of ["apiVersion", "kind"]) delete item[key];
        }
      }
  }
  return object;
}

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);
/** An empty one where there is none, so that nothing is found in it. */
const part = (of: Json, key: string): Json => (isObject(of[key]) ? of[key] : {});
const items = (of: Json, key: string): Json[] => (Array.isArray(of[key]) ? of[key].filter(isObject) : []);

/** The new field stays when both are there. */
function rename(object: Json, from: string, to: string): void {
  if (!(from in object)) return;
  object[to] ??= object[from];
  delete object[from];
}

function podSpec(spec: Json, path: string): void {
  rename(spec, "host", "nodeName");
  rename(spec, "serviceAccount", "serviceAccountName");
  for (const [index, container] of items(spec, "containers").entries()) {
    const at = `${path}.containers[${index}]`;
    for (const field of ["privileged", "capabilities"]) {
      if (!(field in container)) continue;
      const value = container[field];
      delete container[field];
      // What says nothing (`false`, `{}`) was never told from what is missing.
      if (value === false || (isObject(value) && Object.keys(value).length === 0)) continue;
      if (!isObject(container.securityContext)) container.securityContext = {};
      const context = container.securityContext as Json; // made just above, where it wasn't one
      if (context[field] !== undefined && JSON.stringify(context[field]) !== JSON.stringify(value))
        throw new OldObjectError(
          `${at}.${field} and ${at}.securityContext.${field} say different things; leave one out`,
        );
      context[field] = value;
    }
  }
}

function podStatus(status: Json): void {
  rename(status, "Condition", "conditions");
  for (const container of items(status, "containerStatuses"))
    for (const state of ["state", "lastState"]) rename(part(container, state), "termination", "terminated");
}

function serviceSpec(spec: Json, old: boolean): void {
  if (old) {
    rename(spec, "portalIP", "clusterIP");
    if (spec.createExternalLoadBalancer === true && !spec.type) spec.type = "LoadBalancer";
    delete spec.createExternalLoadBalancer;
    rename(spec, "publicIPs", "deprecatedPublicIPs");
  }
  // The deprecated field won as long as there were both.
  if (Array.isArray(spec.deprecatedPublicIPs) && spec.deprecatedPublicIPs.length > 0)
    spec.externalIPs = spec.deprecatedPublicIPs;
  delete spec.deprecatedPublicIPs;
  // Zero stood for "none": the first release always wrote it.
  for (const port of items(spec, "ports")) if (port.nodePort === 0) delete port.nodePort;
}
