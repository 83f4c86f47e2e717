/** What a balancer's controller reports. */
import { type FieldError, isDns1123Subdomain } from "#machinery";
import { parseIp, validateIp } from "../../ip.ts";
import type { Strategy } from "../../kind.ts";
import { Place } from "../../place.ts";
import type { LoadBalancerIngress, LoadBalancerStatus, Service } from "../../types.d.ts";

const modes = ["Proxy", "VIP"];

/** Of services and, without modes, of ingresses. */
export function validateBalancerIngress({ ip = "", ipMode, hostname = "" }: LoadBalancerIngress, at: Place): void {
  if (ip !== "") validateIp(ip, at.child("ip"));
  if (ipMode === undefined) {
    if (ip !== "") at.child("ipMode").required("must be specified when `ip` is set");
  } else if (ip === "") at.child("ipMode").forbidden("may not be specified when `ip` is not set");
  else if (!modes.includes(ipMode)) at.child("ipMode").notSupported(ipMode, modes);
  if (hostname === "") return;
  at.child("hostname").invalidEach(hostname, isDns1123Subdomain(hostname));
  if (parseIp(hostname)) at.child("hostname").invalid(hostname, "must be a DNS name, not an IP address");
}

/** Only balanced services have one. */
function validateBalancerStatus(status: LoadBalancerStatus, at: Place, { type }: { type: string }): void {
  const ingress = status.ingress ?? [];
  const place = at.child("ingress");
  if (type !== "LoadBalancer" && ingress.length > 0) {
    place.forbidden("may only be used when `spec.type` is 'LoadBalancer'");
    return;
  }
  ingress.forEach((each, i) => {
    validateBalancerIngress(each, place.index(i));
  });
}

export const serviceStatusStrategy: Strategy<Service> = {
  resetFields: ["spec"],
  prepareForUpdate(service, old) {
    if (old.spec) service.spec = old.spec;
  },
  validateUpdate({ spec, status }) {
    const errors: FieldError[] = [];
    const at = Place.root("status", errors).child("loadBalancer");
    validateBalancerStatus(status?.loadBalancer ?? {}, at, { type: spec?.type ?? "" });
    return errors;
  },
};
