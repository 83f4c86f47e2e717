/** Names that are reserved for configurations read from files; so far they only cause a warning. */
import type { KubernetesObject } from "#machinery";

const reserved = ".static.k8s.io";

export function staticNameWarnings({ metadata }: KubernetesObject): string[] {
  if (!metadata?.name?.endsWith(reserved)) return [];
  const when = "when the ManifestBasedAdmissionControlConfig feature gate is enabled";
  return [
    `metadata.name: names ending with "${reserved}" will be reserved for static manifest-based configurations ${when}`,
  ];
}
