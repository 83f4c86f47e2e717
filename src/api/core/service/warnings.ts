/** What a service says and nobody heeds: upstream's api/service warnings. */
import { cidrWarnings, ipWarnings } from "../../ip-warnings.ts";
import { Place } from "../../place.ts";
import type { Service, ServiceSpec } from "../../types.d.ts";
import { isHeadless } from "./rules.ts";

const hintsAnnotation = "service.kubernetes.io/topology-aware-hints";
const modeAnnotation = "service.kubernetes.io/topology-mode";

export function serviceWarnings({ spec = {}, metadata }: Service): string[] {
  const warnings: string[] = [];
  if (metadata.annotations?.[hintsAnnotation] !== undefined) {
    warnings.push(`annotation ${hintsAnnotation} is deprecated, please use ${modeAnnotation} instead`);
  }
  const { type, clusterIPs = [], externalIPs = [], loadBalancerIP, loadBalancerSourceRanges = [] } = spec;
  const at = Place.root("spec");
  const checkEach = (field: string, texts: readonly string[], check: typeof ipWarnings) => {
    texts.forEach((text, i) => {
      warnings.push(...check(text, at.child(field).index(i)));
    });
  };
  if (isHeadless(spec)) warnings.push(...headlessWarnings(spec));
  else checkEach("clusterIPs", clusterIPs, ipWarnings);
  checkEach("externalIPs", externalIPs, ipWarnings);
  const isName = type === "ExternalName";
  if (externalIPs.length > 0 && !isName && !isHeadless(spec))
    warnings.push("spec.externalIPs is deprecated and may no longer be implemented in some clusters");
  if (loadBalancerIP) warnings.push(...ipWarnings(loadBalancerIP, at.child("loadBalancerIP")));
  checkEach("loadBalancerSourceRanges", loadBalancerSourceRanges, cidrWarnings);
  if (isName && externalIPs.length > 0) warnings.push('spec.externalIPs is ignored when spec.type is "ExternalName"');
  if (!isName && spec.externalName) warnings.push('spec.externalName is ignored when spec.type is not "ExternalName"');
  if (spec.trafficDistribution === "PreferClose") {
    warnings.push('spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"');
  }
  return warnings;
}

function headlessWarnings({ loadBalancerIP, externalIPs, sessionAffinity }: ServiceSpec): string[] {
  const ignored = [
    loadBalancerIP ? "loadBalancerIP" : "",
    externalIPs?.length ? "externalIPs" : "",
    sessionAffinity !== "None" ? "SessionAffinity" : "",
  ];
  return ignored.filter(Boolean).map((field) => `spec.${field} is ignored for headless services`);
}
