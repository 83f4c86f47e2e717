/** Ingress: requests from outside, by host and path to services. Follows upstream's registry/networking/ingress. */
import { ageColumn, none } from "../columns.ts";
import { type Column, defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import { specOf } from "../spec-of.ts";
import { bumpGeneration, firstGeneration, setOrDelete } from "../strategy.ts";
import type { Ingress } from "../types.d.ts";
import { ingressStatusStrategy } from "./ingress/status.ts";
import { validateIngress } from "./ingress/validate.ts";

/** What classes were before they had a field. */
const classAnnotation = "kubernetes.io/ingress.class";

const hostsMax = 3;

/** Upstream counts rules without a host among those it doesn't show. */
function printHosts({ spec }: Ingress): string {
  const rules = spec?.rules ?? [];
  const hosts: string[] = [];
  let isCut = false;
  for (const { host = "" } of rules) {
    if (hosts.length === hostsMax) isCut = true;
    else if (host !== "") hosts.push(host);
  }
  if (hosts.length === 0) return "*";
  return hosts.join(",") + (isCut ? ` + ${rules.length - hostsMax} more...` : "");
}

function printAddress({ status }: Ingress): string {
  const points = (status?.loadBalancer?.ingress ?? []).map(({ ip, hostname }) => ip || hostname || "");
  return [...new Set(points.filter((point) => point !== ""))].sort().join(",");
}

const columns: readonly Column<Ingress>[] = [
  {
    name: "Class",
    type: "string",
    description: "The name of the IngressClass resource that should be used for additional configuration",
    of: ({ spec }) => spec?.ingressClassName ?? none,
  },
  {
    name: "Hosts",
    type: "string",
    description: "Hosts that incoming requests are matched against before the ingress rule",
    of: printHosts,
  },
  {
    name: "Address",
    type: "string",
    description: "Address is a list containing ingress points for the load-balancer",
    of: printAddress,
  },
  {
    name: "Ports",
    type: "string",
    description: "Ports of TLS configurations that open",
    of: ({ spec }) => (spec?.tls?.length ? "80, 443" : "80"),
  },
  ageColumn,
];

export const ingressKind = defineKind<Ingress>({
  group: "networking.k8s.io",
  kind: "Ingress",
  resource: "ingresses",
  storageVersion: "v1",
  resetFields: ["status"],

  defaults(ingress) {
    ingress.spec = specOf(ingress);
  },
  prepareForCreate(ingress) {
    ingress.status = { loadBalancer: {} };
    firstGeneration(ingress);
  },
  prepareForUpdate(ingress, old) {
    setOrDelete(ingress, { status: old.status });
    bumpGeneration(ingress, old);
  },
  validate(ingress) {
    const errors = validateIngress(ingress);
    const noted = ingress.metadata.annotations?.[classAnnotation];
    const named = ingress.spec?.ingressClassName;
    if (noted !== undefined && named !== undefined && noted !== named) {
      const at = Place.root("annotations", errors).child(classAnnotation);
      at.invalid(noted, "must match `ingressClassName` when both are specified");
    }
    return errors;
  },
  validateUpdate: (ingress, old) => validateIngress(ingress, old),
  warningsOnCreate: ({ metadata, spec }) =>
    metadata.annotations?.[classAnnotation] !== undefined && spec?.ingressClassName === undefined
      ? [`annotation "${classAnnotation}" is deprecated, please use 'spec.ingressClassName' instead`]
      : [],

  subresources: { status: ingressStatusStrategy },
  columns,
});
