/** What both ways of converting are to their callers. */
import type { KubernetesObject } from "#machinery";

/** Objects of any versions in the wanted one, in order. May change and return them; throws or rejects with a StatusError. */
export type Converter = (
  objects: readonly KubernetesObject[],
  apiVersion: string,
) => readonly KubernetesObject[] | Promise<readonly KubernetesObject[]>;
