/**
 * Host ports of this node's pods, as service ports with one local endpoint each: the same rules carry them, so no other
 * program (CNI's portmap needs iptables) has to.
 */
import type { Pod } from "#api";
import type { DeepReadonly } from "#machinery";
import type { ServicePort } from "./service-port.ts";

/** None for pods that have ended, have no address yet, or share the node's network anyway. */
export function hostPorts(pod: DeepReadonly<Pod>): ServicePort[] {
  const { spec, status, metadata } = pod;
  const address = status?.podIP;
  if (!spec || !address || spec.hostNetwork || status.phase === "Succeeded" || status.phase === "Failed") return [];
  return [...(spec.initContainers ?? []), ...spec.containers].flatMap((container) =>
    (container.ports ?? []).flatMap(({ hostPort = 0, hostIP = "", containerPort, protocol = "TCP" }) => {
      if (hostPort === 0) return [];
      const everywhere = hostIP === "" || hostIP === "0.0.0.0";
      return [
        {
          id: `hostport/${metadata.namespace}/${metadata.name}/${protocol.toLowerCase()}/${everywhere ? "" : hostIP}${hostPort}`,
          protocol: protocol.toLowerCase() as ServicePort["protocol"], // validated by the API server
          port: hostPort,
          clusterAddresses: [],
          externalAddresses: everywhere ? [] : [hostIP],
          nodePort: everywhere ? hostPort : 0,
          affinitySeconds: 0,
          internalLocal: false,
          externalLocal: true,
          endpoints: [{ address, port: containerPort }],
          localEndpoints: [{ address, port: containerPort }],
        },
      ];
    }),
  );
}

/** Whether a pod can have any, cheaply: most have none. */
export const mayHaveHostPorts = ({ spec }: DeepReadonly<Pod>): boolean =>
  spec !== undefined &&
  !spec.hostNetwork &&
  [...(spec.initContainers ?? []), ...spec.containers].some(({ ports }) => ports?.some(({ hostPort }) => hostPort));
