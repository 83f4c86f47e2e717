/** Feature gates that change something on this node, with upstream's defaults in 1.36. */
import type { KubeletConfiguration } from "./configuration.ts";

const defaults = {
  CustomCPUCFSQuotaPeriod: true,
  GracefulNodeShutdown: true,
  GracefulNodeShutdownBasedOnPodPriority: true,
  KubeletCrashLoopBackOffMax: true,
  MemoryQoS: false,
  RotateKubeletServerCertificate: true,
} as const;

export const isEnabled = (
  { featureGates }: Pick<KubeletConfiguration, "featureGates">,
  gate: keyof typeof defaults,
): boolean => featureGates[gate] ?? defaults[gate];
