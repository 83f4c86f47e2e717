/** The /etc/hosts that the node writes for a pod. */
import type { PodView } from "./types.ts";

const head = [
  "# Kubernetes-managed hosts file.",
  "127.0.0.1\tlocalhost",
  "::1\tlocalhost ip6-localhost ip6-loopback",
  "fe00::0\tip6-localnet",
  "fe00::0\tip6-mcastprefix",
  "fe00::1\tip6-allnodes",
  "fe00::2\tip6-allrouters",
];
const hostHead = "# Kubernetes-managed hosts file (host network).";

export interface HostsFileInput {
  readonly podIPs: readonly string[];
  readonly hostname: string;
  /** `hostname.subdomain.namespace.svc.domain`; "" without a subdomain. */
  readonly fqdn: string;
  /** Of the host, for pods on its network; undefined otherwise. */
  readonly hostFile: string | undefined;
}

export function hostsFile(pod: PodView, { podIPs, hostname, fqdn, hostFile }: HostsFileInput): string {
  const own = podIPs.map((ip) => (fqdn ? `${ip}\t${fqdn}\t${hostname}` : `${ip}\t${hostname}`));
  const body = hostFile === undefined ? `${[...head, ...own].join("\n")}\n` : `${hostHead}\n${hostFile}`;
  const aliases = pod.spec?.hostAliases ?? [];
  if (aliases.length === 0) return body;
  const lines = aliases.map(({ ip, hostnames }) => `${ip}\t${(hostnames ?? []).join("\t")}`);
  return `${body}\n# Entries added by HostAliases.\n${lines.join("\n")}\n`;
}

const hostnameLengthMax = 63;

export interface PodNames {
  readonly hostname: string;
  /** `hostname.subdomain.namespace.svc.domain`; "" without a subdomain. */
  readonly fqdn: string;
  /** What the kernel is told. */
  readonly kernelHostname: string;
}

/** Throws when the full name was asked for as hostname and is too long. */
export function podNames(pod: PodView, clusterDomain: string): PodNames {
  const { spec, metadata } = pod;
  const whole = spec?.hostnameOverride ?? (spec?.hostname || (metadata.name ?? ""));
  // A name that was cut may not end in a separator.
  const hostname = whole.length > hostnameLengthMax ? whole.slice(0, hostnameLengthMax).replace(/[-.]+$/, "") : whole;
  if (spec?.hostnameOverride !== undefined) return { hostname, fqdn: "", kernelHostname: hostname };
  const fqdn = spec?.subdomain ? `${hostname}.${spec.subdomain}.${metadata.namespace}.svc.${clusterDomain}` : "";
  if (!spec?.setHostnameAsFQDN || !fqdn) return { hostname, fqdn, kernelHostname: hostname };
  if (fqdn.length > 64)
    throw new Error(
      `failed to construct FQDN from pod hostname and cluster domain, FQDN ${fqdn} is too long (64 characters is the max, ${fqdn.length} characters requested)`,
    );
  return { hostname, fqdn, kernelHostname: fqdn };
}
