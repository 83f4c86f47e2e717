/** What a new finalizer of a custom object should be called. Follows registry/customresource/validator.go (1.29). */
import { goQuote, isQualifiedName, type KubernetesObject } from "#machinery";

const standard = new Set(["orphan", "foregroundDeletion", "kubernetes"]);

export function finalizerWarnings(object: KubernetesObject, old: KubernetesObject | undefined): string[] {
  const { finalizers } = object.metadata ?? {};
  if (!finalizers || finalizers.length === 0) return [];
  const added = new Set(finalizers).difference(new Set(old?.metadata?.finalizers ?? []));
  return [...added].sort().flatMap((name) => {
    const say = (why: string) => `metadata.finalizers: ${goQuote(name)}: ${why}`;
    const warnings = isQualifiedName(name).map(say);
    if (name.includes("/") || standard.has(name)) return warnings;
    const path = name.includes(".") ? " including a path (/)" : "";
    const why = `prefer a domain-qualified finalizer name${path} to avoid accidental conflicts with other finalizer writers`;
    return [...warnings, say(why)];
  });
}
