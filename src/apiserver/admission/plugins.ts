/** The plugins that are always on, in upstream's order. */
import type { AdmissionPlugin } from "./chain.ts";
import { claimResize, defaultIngressClass, defaultStorageClass, runtimeClass, storageProtection } from "./classes.ts";
import { limitRanger } from "./limit-ranger.ts";
import { namespaceLifecycle } from "./namespace-lifecycle.ts";
import { defaultTolerationSeconds, taintNewNodes } from "./pod-defaults.ts";
import { podResize } from "./pod-resize.ts";
import { podSecurity } from "./pod-security/plugin.ts";
import { priority } from "./priority.ts";
import { serviceAccount } from "./service-account.ts";

export function builtInPlugins(): readonly AdmissionPlugin[] {
  return [
    namespaceLifecycle,
    limitRanger,
    serviceAccount,
    taintNewNodes,
    podSecurity,
    priority,
    defaultTolerationSeconds,
    storageProtection,
    claimResize,
    runtimeClass,
    defaultIngressClass,
    defaultStorageClass,
    podResize,
  ];
}
