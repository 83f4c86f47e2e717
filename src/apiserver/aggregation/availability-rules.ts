/** What can be said about an extension server without asking it. Follows kube-aggregator's remote availability controller; its words. */
import type { APIServiceCondition, EndpointSlice, Service } from "#api";
import type { DeepReadonly } from "#machinery";
import type { RemoteService } from "./api-service-index.ts";
import { hasReadyEndpoint } from "./service-address.ts";

export type Verdict = Pick<APIServiceCondition, "status" | "reason" | "message">;

export const localVerdict: Verdict = {
  status: "True",
  reason: "Local",
  message: "Local APIServices are always available",
};
export const passedVerdict: Verdict = { status: "True", reason: "Passed", message: "all checks passed" };

/** Undefined: it has to be asked. */
export function judgeService(
  { namespace, name, port }: RemoteService,
  { service, slices }: { service: DeepReadonly<Service> | undefined; slices: readonly DeepReadonly<EndpointSlice>[] },
): Verdict | undefined {
  const no = (reason: string, message: string): Verdict => ({ status: "False", reason, message });
  const where = `service/${name} in ${JSON.stringify(namespace)}`;
  if (!service) return no("ServiceNotFound", `${where} is not present`);
  if ((service.spec?.type ?? "ClusterIP") !== "ClusterIP") return undefined;
  const found = service.spec?.ports?.find((each) => each.port === port);
  if (!found) return no("ServicePortError", `${where} is not listening on port ${port}`);
  if (slices.length === 0) return no("EndpointsNotFound", `cannot find endpointslices for ${where}`);
  const portName = found.name ?? "";
  if (hasReadyEndpoint(slices, portName)) return undefined;
  const message = `endpointslices for ${where} have no addresses with port name ${JSON.stringify(portName)}`;
  return no("MissingEndpoints", message);
}

/** The conditions with this verdict; the time moves when the status does. */
export function withVerdict(
  conditions: readonly DeepReadonly<APIServiceCondition>[],
  verdict: Verdict,
  now: string,
): APIServiceCondition[] {
  const next: APIServiceCondition = { type: "Available", lastTransitionTime: now, ...verdict };
  const at = conditions.findIndex(({ type }) => type === "Available");
  const before = conditions[at];
  if (!before) return [...conditions, next];
  if (before.status === verdict.status && before.lastTransitionTime)
    next.lastTransitionTime = before.lastTransitionTime;
  return conditions.with(at, next) as APIServiceCondition[]; // copied, nothing of it is changed
}
