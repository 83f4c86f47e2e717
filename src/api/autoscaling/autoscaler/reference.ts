/** References to an object of some group and version. */
import { nameIsPathSegment } from "#machinery";
import type { Place } from "../../place.ts";
import type { CrossVersionObjectReference } from "../../types.d.ts";

export interface ReferenceRules {
  /** The core group will do, and so will nothing. */
  readonly noGroup: boolean;
  readonly anyVersion: boolean;
}

/** `apps` of `apps/v1`, "" of the core group and of nothing; undefined when it can't be read. */
export function readGroup(apiVersion = ""): string | undefined {
  const parts = apiVersion === "/" ? [] : apiVersion.split("/");
  if (parts.length > 2) return undefined;
  return parts.length === 2 ? parts[0] : "";
}

export function validateReference(
  { kind = "", name = "", apiVersion = "" }: CrossVersionObjectReference,
  at: Place,
  { noGroup, anyVersion }: ReferenceRules,
): void {
  validateSegment(kind, at.child("kind"));
  validateSegment(name, at.child("name"));
  if (anyVersion) return;
  const group = readGroup(apiVersion);
  const versionAt = at.child("apiVersion");
  if (group === undefined) versionAt.invalid(apiVersion, `unexpected GroupVersion string: ${apiVersion}`);
  else if (group === "" && !noGroup) versionAt.invalid(apiVersion, "apiVersion must specify API group");
}

/** Part of a path in a URL. */
export function validateSegment(text: string, at: Place, why = ""): void {
  if (text === "") at.required(why);
  else at.invalidEach(text, nameIsPathSegment(text, false));
}
