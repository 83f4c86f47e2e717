/** Names of certificate signers and of the trust bundles that belong to them. */
import { isDns1123Label, isDns1123Subdomain, type Messages, nameIsDnsSubdomain } from "#machinery";
import type { Place } from "./place.ts";

const domainBytesMax = 253;
/** namespace "." name */
const pathBytesMax = 63 + 1 + 253;

/** `example.com/signer-name`. */
export function validateSignerName(name: string | undefined, at: Place): void {
  if (!name) {
    at.required("signerName must be provided");
    return;
  }
  const segments = name.split("/");
  const [domain, path] = segments;
  if (segments.length !== 2 || domain === undefined || path === undefined) {
    at.invalid(name, "must be a fully qualified domain and path of the form 'example.com/signer-name'");
    return;
  }
  if (domain.length > domainBytesMax) at.tooLong(domainBytesMax);
  const labels = domain.split(".");
  firstBadPart(labels, isDns1123Label, (message) => at.invalid(domain, message));
  if (labels.length < 2) at.invalid(domain, "should be a domain with at least two segments separated by dots");
  firstBadPart(path.split("."), isDns1123Subdomain, (message) => at.invalid(path, message));
  const bytesMax = domainBytesMax + pathBytesMax + 1;
  if (name.length > bytesMax) at.tooLong(bytesMax);
}

function firstBadPart(
  parts: readonly string[],
  check: (part: string) => Messages,
  report: (message: string) => void,
): void {
  for (const part of parts) {
    const messages = check(part);
    for (const message of messages) report(`validating label ${JSON.stringify(part)}: ${message}`);
    if (messages.length > 0) return;
  }
}

export const isKubernetesSigner = (name: string): boolean => {
  const domain = name.split("/")[0] ?? "";
  return domain === "kubernetes.io" || domain.endsWith(".kubernetes.io");
};

/** A bundle of a signer is called `<signer with colons>:<name>`, any other has no colon. */
export function isTrustBundleName(
  name: string,
  { signer, prefix = false }: { signer: string; prefix?: boolean },
): Messages {
  if (signer === "") {
    if (name.includes(":")) return ['ClusterTrustBundle without signer name must not have ":" in its name'];
    return nameIsDnsSubdomain(name, prefix);
  }
  const start = `${signer.replaceAll("/", ":")}:`;
  if (!name.startsWith(start)) {
    return [`ClusterTrustBundle for signerName ${signer} must be named with prefix ${start}`];
  }
  return nameIsDnsSubdomain(name.slice(start.length), prefix);
}

/** The signer that a bundle's name speaks of; "" for none. */
export function signerOfTrustBundle(name: string): string {
  const end = name.lastIndexOf(":");
  return end < 0 ? "" : name.slice(0, end).replaceAll(":", "/");
}
