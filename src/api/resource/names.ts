/** Names of pools, attributes and capacities, and ids of shares. */
import { goQuote, isCIdentifier, isDns1123Label, isDns1123Subdomain, longerThan } from "#machinery";
import type { Place } from "../place.ts";
import { validateCsiDriverName } from "../pod-spec/volume-sources.ts";

/** The rules are those of CSI drivers. */
export const validateDriverName = validateCsiDriverName;

const domainBytesMax = 63;
const identifierBytesMax = 32;
/** Of an attribute or a capacity. */
export const qualifiedNameBytesMax = domainBytesMax + 1 + identifierBytesMax;
const poolNameBytesMax = 253;

export function validateLabelName(name: string | undefined, at: Place): void {
  at.invalidEach(name ?? "", isDns1123Label(name ?? ""));
}

/** Subdomains with slashes between them. */
export function validatePoolName(name: string | undefined, at: Place): void {
  if (!name) {
    at.required();
    return;
  }
  if (longerThan(name, poolNameBytesMax)) at.tooLong(poolNameBytesMax);
  for (const part of name.split("/")) at.invalidEach(part, isDns1123Subdomain(part));
}

/** `name`, or `domain/name`. More slashes pass, as they do upstream. */
export function validateQualifiedName(name: string, at: Place): void {
  const parts = name.split("/");
  const [first = "", second = ""] = parts;
  if (parts.length === 1) validateIdentifier(first, at);
  if (parts.length !== 2) return;
  if (first === "") at.invalid("", "the domain must not be empty");
  else validateDriverName(first, at);
  if (second === "") at.invalid("", "the name must not be empty");
  else validateIdentifier(second, at);
}

export function validateFullyQualifiedName(name: string, at: Place): void {
  validateQualifiedName(name, at);
  if (!name.includes("/")) {
    at.invalid(name, "a fully qualified name must be a domain and a name separated by a slash");
  }
}

function validateIdentifier(id: string, at: Place): void {
  if (longerThan(id, identifierBytesMax)) at.tooLong(identifierBytesMax);
  at.invalidEach(id, isCIdentifier(id));
}

const hyphened = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export function validateUid(uid: string, at: Place): void {
  const complaint = complainAboutUuid(uid);
  if (complaint) at.invalid(uid, `error validating uid: ${complaint}`);
  else if (!hyphened.test(uid) || uid !== uid.toLowerCase()) {
    at.invalid(
      uid,
      "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters",
    );
  }
}

/** Forms other than the plain one are known too; in the words of the library that upstream uses. */
function complainAboutUuid(uid: string): string | undefined {
  const badFormat = "invalid UUID format";
  const length = Buffer.byteLength(uid);
  switch (length) {
    case 36:
      return hyphened.test(uid) ? undefined : badFormat;
    case 45: {
      const prefix = uid.slice(0, 9);
      if (prefix.toLowerCase() !== "urn:uuid:") return `invalid urn prefix: ${goQuote(prefix)}`;
      return hyphened.test(uid.slice(9)) ? undefined : badFormat;
    }
    case 38:
      if (!uid.startsWith("{") || !uid.endsWith("}")) return "invalid bracketed UUID format";
      return hyphened.test(uid.slice(1, -1)) ? undefined : badFormat;
    case 32:
      return /^[0-9a-f]+$/i.test(uid) ? undefined : badFormat;
    default:
      return `invalid UUID length: ${length}`;
  }
}
