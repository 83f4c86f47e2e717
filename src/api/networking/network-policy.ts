/** NetworkPolicy: who may talk to which pods. Follows upstream's registry/networking/networkpolicy. */
import { jsonEqual, printLabelSelector } from "#machinery";
import { ageColumn } from "../columns.ts";
import { cidrWarnings } from "../ip-warnings.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import { specOf } from "../spec-of.ts";
import { firstGeneration } from "../strategy.ts";
import type { NetworkPolicy } from "../types.d.ts";
import { rulesOf, validatePolicy } from "./network-policy/validate.ts";

function defaultPolicy(policy: NetworkPolicy): void {
  const spec = specOf(policy);
  policy.spec = spec;
  spec.podSelector ??= {};
  for (const { ports } of rulesOf(policy, Place.root("spec"))) for (const port of ports) port.protocol ??= "TCP";
  if (!spec.policyTypes?.length) spec.policyTypes = spec.egress?.length ? ["Ingress", "Egress"] : ["Ingress"];
}

function warningsOf(policy: NetworkPolicy): string[] {
  const warnings: string[] = [];
  for (const { peers, peersAt } of rulesOf(policy, Place.root("spec"))) {
    peers.forEach(({ ipBlock }, i) => {
      if (!ipBlock) return;
      const at = peersAt.index(i).child("ipBlock");
      warnings.push(...cidrWarnings(ipBlock.cidr ?? "", at.child("cidr")));
      ipBlock.except?.forEach((each, j) => {
        warnings.push(...cidrWarnings(each, at.child("except").index(j)));
      });
    });
  }
  return warnings;
}

export const networkPolicyKind = defineKind<NetworkPolicy>({
  group: "networking.k8s.io",
  kind: "NetworkPolicy",
  resource: "networkpolicies",
  storageVersion: "v1",

  defaults: defaultPolicy,
  prepareForCreate: firstGeneration,
  prepareForUpdate(policy, old) {
    const generation = old.metadata.generation ?? 0;
    // An empty selector isn't none: it selects everything.
    policy.metadata.generation = jsonEqual(policy.spec, old.spec) ? generation : generation + 1;
  },
  validate: (policy) => validatePolicy(policy).errors,
  validateUpdate(policy, old) {
    const { errors } = validatePolicy(policy, old);
    // Upstream says everything twice.
    return [...errors, ...errors];
  },
  warningsOnCreate: warningsOf,
  warningsOnUpdate: warningsOf,

  columns: [
    {
      name: "Pod-Selector",
      type: "string",
      description:
        "podSelector selects the pods to which this NetworkPolicy object applies. The array of rules is applied to any pods selected by this field. An empty selector matches all pods in the policy's namespace. Multiple network policies can select the same set of pods. In this case, the ingress rules for each are combined additively. This field is optional. If it is not specified, it defaults to an empty selector.",
      of: ({ spec }) => printLabelSelector(spec?.podSelector),
    },
    ageColumn,
  ],
});
