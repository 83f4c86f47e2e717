/** How many claims there are and were made, by upstream's names. */
import { extendedClaimAnnotation, podClaimAnnotation, type ResourceClaim } from "#api";
import type { MetricRegistry } from "#base";
import type { Informer } from "#client";
import { hasAdminAccess, type SeenClaim } from "./reconcile.ts";

/** Answers how to count an attempt to make a claim. */
export function countClaims(
  registry: MetricRegistry,
  claims: Informer<ResourceClaim>,
): (claim: SeenClaim, status: "success" | "failure") => void {
  const creates = registry.counter(
    "resourceclaim_controller_creates_total",
    "Number of ResourceClaims creation requests, categorized by creation status and admin access",
    ["status", "admin_access"],
  );
  const existing = registry.gauge(
    "resourceclaim_controller_resource_claims",
    "Number of ResourceClaims, categorized by allocation status, admin access, and source. Source can be 'resource_claim_template' (created from a template), 'extended_resource' (extended resources), or empty (manually created by a user).",
    ["allocated", "admin_access", "source"],
  );
  registry.onCollect(() => {
    existing.clear();
    for (const claim of claims.list()) {
      const allocated = String(claim.status?.allocation !== undefined);
      existing.with(allocated, String(hasAdminAccess(claim)), sourceOf(claim)).add(1);
    }
  });
  return (claim, status) => creates.with(status, String(hasAdminAccess(claim))).inc();
}

function sourceOf({ metadata: { annotations } }: SeenClaim): string {
  if (annotations?.[extendedClaimAnnotation] === "true") return "extended_resource";
  return annotations?.[podClaimAnnotation] ? "resource_claim_template" : "";
}
