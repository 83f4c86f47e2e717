/** What an ingress controller reports: where it listens. */
import { isDns1123Subdomain } from "#machinery";
import { parseIp } from "../../ip.ts";
import { ipWarnings } from "../../ip-warnings.ts";
import type { Strategy } from "../../kind.ts";
import { Place } from "../../place.ts";
import { setOrDelete } from "../../strategy.ts";
import { validateStrictIp } from "../../strict-ip.ts";
import type { Ingress, IngressLoadBalancerIngress } from "../../types.d.ts";

const pointsOf = ({ status }: Ingress): readonly IngressLoadBalancerIngress[] => status?.loadBalancer?.ingress ?? [];

const placeOfPoints = (): Place => Place.root("status").child("loadBalancer").child("ingress");

export const ingressStatusStrategy: Strategy<Ingress> = {
  resetFields: ["spec"],
  prepareForUpdate(ingress, old) {
    setOrDelete(ingress, { spec: old.spec });
  },
  validateUpdate(ingress, old) {
    const at = placeOfPoints();
    const known = new Set(pointsOf(old).map(({ ip = "" }) => ip));
    pointsOf(ingress).forEach(({ ip = "", hostname = "" }, i) => {
      const place = at.index(i);
      if (ip !== "") validateStrictIp(ip, place.child("ip"), known);
      if (hostname === "") return;
      place.child("hostname").invalidEach(hostname, isDns1123Subdomain(hostname));
      if (parseIp(hostname)) place.child("hostname").invalid(hostname, "must be a DNS name, not an IP address");
    });
    return at.errors;
  },
  warningsOnUpdate(ingress) {
    const at = placeOfPoints();
    return pointsOf(ingress).flatMap(({ ip = "" }, i) => ipWarnings(ip, at.index(i).child("ip")));
  },
};
