/** The plugins that are always on, in upstream's order. */
import type { AdmissionPlugin } from "./chain.ts";
import { namespaceLifecycle } from "./namespace-lifecycle.ts";

export function builtInPlugins(): readonly AdmissionPlugin[] {
  return [namespaceLifecycle];
}
