/** The request for a pod's sandbox. */
import type { LinuxPodSandboxConfig, PodSandboxConfig, Protocol } from "../cri/types.d.ts";
import type { DnsConfig } from "./dns-config.ts";
import { annotation, podLabels } from "./labels.ts";
import { milliOf, unitsOf } from "./quantity.ts";
import { cpuQuotaUs, cpuShares, podTotal } from "./resources.ts";
import { type SecurityInput, sandboxSecurity } from "./security-context.ts";
import { sysctlsOf } from "./sysctl.ts";
import { isHostNetwork, type PodView } from "./types.ts";

export interface SandboxInput extends SecurityInput {
  readonly attempt: number;
  readonly hostname: string;
  readonly dns: DnsConfig;
  /** Of this pod's logs. */
  readonly logDirectory: string;
  /** Of the pod; "" when the node can't make cgroups. */
  readonly cgroupParent: string;
}

export function sandboxConfig(pod: PodView, input: SandboxInput): PodSandboxConfig {
  const { name = "", namespace = "", uid = "", labels = {}, annotations = {} } = pod.metadata;
  return {
    metadata: { name, namespace, uid, attempt: input.attempt },
    // On the host's network the hostname is the host's.
    ...(isHostNetwork(pod) ? {} : { hostname: input.hostname }),
    logDirectory: input.logDirectory,
    dnsConfig: { servers: [...input.dns.servers], searches: [...input.dns.searches], options: [...input.dns.options] },
    portMappings: isHostNetwork(pod) ? [] : portMappings(pod),
    labels: { ...labels, ...podLabels(pod) },
    annotations: { ...annotations, [annotation.configSource]: "api" },
    linux: {
      ...(input.cgroupParent ? { cgroupParent: input.cgroupParent } : {}),
      securityContext: sandboxSecurity(pod, input),
      sysctls: sysctlsOf(pod),
      ...sandboxResources(pod),
    },
  };
}

/** What the pod may use, and what its RuntimeClass takes for itself: for runtimes that make a machine for each pod. */
function sandboxResources({ spec, ...pod }: PodView): Pick<LinuxPodSandboxConfig, "resources" | "overhead"> {
  const { overhead, ...bare } = spec ?? { containers: [] };
  const of = (kind: "requests" | "limits", name: string) => podTotal({ ...pod, spec: bare }, { kind, name }).total;
  const limit = of("limits", "cpu");
  return {
    resources: kernel({ request: of("requests", "cpu") || limit, limit, memory: of("limits", "memory") }),
    overhead: overhead
      ? kernel({ request: milliOf(overhead.cpu), limit: milliOf(overhead.cpu), memory: unitsOf(overhead.memory) })
      : {},
  };
}

const kernel = ({ request, limit, memory }: { request: number; limit: number; memory: number }) => ({
  cpuShares: cpuShares(request),
  cpuPeriod: cpuPeriodUs,
  cpuQuota: cpuQuotaUs(limit),
  ...(memory > 0 ? { memoryLimitInBytes: memory } : {}),
});
const cpuPeriodUs = 100_000;

function portMappings(pod: PodView) {
  const all = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? []).filter((one) => one.restartPolicy)];
  return all.flatMap(({ ports = [] }) =>
    ports
      .filter(({ hostPort }) => hostPort)
      .map(({ containerPort, hostPort = 0, hostIP = "", protocol = "TCP" }) => ({
        protocol: protocol as Protocol, // validated by the API server
        containerPort,
        hostPort,
        ...(hostIP ? { hostIp: hostIP } : {}),
      })),
  );
}
