/**
 * Host ports of this node's pods, as service ports with one local endpoint each: the same rules carry them, so no other
 * program (CNI's portmap needs iptables) has to.
 */
import type { Pod } from "#api";
import type { DeepReadonly } from "#machinery";
import { canonicalAddress, endpointName, type ProxyEndpoint } from "./endpoints.ts";
import type { ServicePort } from "./service-port.ts";

/** None for pods that have ended, have no address yet, or share the node's network anyway. */
export function hostPorts(pod: DeepReadonly<Pod>): ServicePort[] {
  const { spec, status, metadata } = pod;
  if (!spec || !status?.podIP || spec.hostNetwork || status.phase === "Succeeded" || status.phase === "Failed")
    return [];
  const addresses = status.podIPs?.length ? status.podIPs.map(({ ip }) => ip) : [status.podIP];
  return [...(spec.initContainers ?? []), ...spec.containers].flatMap(({ ports = [] }) =>
    ports.flatMap(({ hostPort = 0, hostIP = "", containerPort, protocol: wireProtocol = "TCP" }) => {
      if (hostPort === 0) return [];
      const protocol = wireProtocol.toLowerCase() as ServicePort["protocol"]; // validated by the API server
      const host = canonicalAddress(hostIP);
      const everywhere = !host || host.text === "0.0.0.0" || host.text === "::";
      return addresses.flatMap((text): ServicePort[] => {
        const address = canonicalAddress(text);
        if (!address || (host && host.family !== address.family)) return [];
        const endpoints: readonly ProxyEndpoint[] = [{ address: address.text, port: containerPort, local: true }];
        return [
          {
            id: `hostport/${metadata.namespace}/${metadata.name}/${protocol}/${everywhere ? "" : host?.text}${hostPort}`,
            family: address.family,
            protocol,
            port: hostPort,
            externalAddresses: everywhere ? [] : [host?.text ?? ""],
            balancerAddresses: [],
            sourceRanges: [],
            nodePort: 0,
            hostPort: everywhere ? hostPort : 0,
            affinitySeconds: 0,
            internalLocal: false,
            externalLocal: true,
            healthCheckNodePort: 0,
            clusterEndpoints: endpoints,
            localEndpoints: endpoints,
            hasEndpoints: true,
            serving: protocol === "udp" ? endpoints.map(endpointName) : [],
            localReady: [],
          },
        ];
      });
    }),
  );
}

/** Whether a pod can have any, cheaply: most have none. */
export const mayHaveHostPorts = ({ spec }: DeepReadonly<Pod>): boolean =>
  spec !== undefined &&
  !spec.hostNetwork &&
  [...(spec.initContainers ?? []), ...spec.containers].some(({ ports }) => ports?.some(({ hostPort }) => hostPort));
