/** Annotations of templates: metadata proper is checked by the registry. */
import { isQualifiedName } from "#machinery";
import type { Place } from "./place.ts";

/** Together, keys and values. */
const annotationsBytesMax = 256 * 1024;

export function validateAnnotations(annotations: Readonly<Record<string, string>> | undefined, at: Place): void {
  let bytes = 0;
  for (const key in annotations) {
    at.invalidEach(key, isQualifiedName(key.toLowerCase()));
    bytes += Buffer.byteLength(key) + Buffer.byteLength(annotations[key] ?? "");
  }
  if (bytes > annotationsBytesMax) at.tooLong(annotationsBytesMax);
}
