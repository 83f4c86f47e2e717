/** The Service that pods know as their resolver. Every node answers its own pods, hence the local traffic policy. */
import type { Client } from "#client";
import { isStatusError } from "#machinery";

/** Once made it is the administrator's. Names and labels are those that people look for. */
export async function provideDnsService(client: Client, clusterIP: string): Promise<void> {
  const labels = { "k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS" };
  const ports = [
    { name: "dns", port: 53, protocol: "UDP" },
    { name: "dns-tcp", port: 53, protocol: "TCP" },
  ];
  try {
    await client.resource("v1/services", "kube-system").create({
      metadata: { name: "kube-dns", namespace: "kube-system", labels },
      spec: { clusterIP, internalTrafficPolicy: "Local", ports },
    });
  } catch (error) {
    if (!isStatusError(error, "AlreadyExists") && !isStatusError(error, "Invalid")) throw error; // Invalid: the address is taken, by it
  }
}
