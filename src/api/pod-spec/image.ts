/** Images: when they are pulled, and which tag a name speaks of. */
import type { Place } from "../place.ts";

const pullPolicies = ["Always", "IfNotPresent", "Never"];

export function validatePullPolicy(policy: string | undefined, at: Place): void {
  if (!policy) at.required();
  else if (!pullPolicies.includes(policy)) at.notSupported(policy, pullPolicies);
}

// distribution/reference: [domain/]path[:tag][@digest]
const part = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const domainPart = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const domain = `(?:${domainPart}(?:\\.${domainPart})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?`;
const digest = "[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}";
const reference = new RegExp(`^(?:${domain}/)?${part}(?:/${part})*(?::([\\w][\\w.-]{0,127}))?(?:@(${digest}))?$`);

/** Always for the latest tag, which moves; names without a tag and a digest mean it. A name that can't be read is left to others. */
export function defaultPullPolicy(image: string | undefined): string {
  const match = reference.exec(image ?? "");
  if (!match) return "IfNotPresent";
  const [, tag, byDigest] = match;
  return tag === "latest" || (tag === undefined && byDigest === undefined) ? "Always" : "IfNotPresent";
}
