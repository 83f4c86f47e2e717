/** What a cluster that machines join must have beside its API: where it is, who may join, what all nodes share, its DNS and a class of volumes. */
import { addressIn, type NetworkMode } from "#network";
import { provideClusterInfo } from "./cluster-info.ts";
import { provideClusterSettings } from "./cluster-settings.ts";
import type { ControlPlane } from "./control-plane.ts";
import { provideDnsService } from "./dns-service.ts";
import { provideJoining } from "./joining.ts";
import { provideLocalPathClass } from "./local-path-class.ts";

/** Where in the service range the cluster's DNS is, as kubeadm does. */
const dnsOffset = 10;
export const dnsAddressOf = (serviceCidr: string): string => addressIn(serviceCidr.split(",")[0] ?? "", dnsOffset);

interface Values {
  readonly "cluster-cidr": string;
  readonly "service-cidr": string;
  readonly "cluster-domain": string;
  readonly network: string;
}

/** `address`: the server's own, as machines reach it. */
export async function provideCluster(
  plane: ControlPlane,
  { values, address }: { readonly values: Values; readonly address: string },
): Promise<void> {
  const admin = plane.client({ name: "system:apiserver", groups: ["system:masters"], userAgent: "sampan" });
  const { "cluster-cidr": clusterCidr, "service-cidr": serviceCidr, "cluster-domain": clusterDomain } = values;
  const dnsAddress = dnsAddressOf(serviceCidr);
  const network = values.network as NetworkMode; // one of the flag's choices
  const server = `https://${address.includes(":") ? `[${address}]` : address}:${plane.port}`;
  await Promise.all([
    provideLocalPathClass(admin),
    provideDnsService(admin, dnsAddress),
    provideClusterInfo(admin, { server, authority: plane.pki.authority.certificate }),
    provideJoining(admin),
    provideClusterSettings(admin, { clusterCidr, serviceCidr, clusterDomain, dnsAddress, network }),
  ]);
}
