/** The request for a pod's sandbox. */
import type { PodSandboxConfig, Protocol } from "../cri/types.d.ts";
import type { DnsConfig } from "./dns-config.ts";
import { annotation, podLabels } from "./labels.ts";
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
    },
  };
}

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
