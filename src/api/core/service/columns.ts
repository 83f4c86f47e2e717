/** What `kubectl get services` shows. */
import { ageColumn, none, printLabels } from "../../columns.ts";
import type { Column } from "../../kind.ts";
import type { Service, ServicePort } from "../../types.d.ts";

/** Addresses of the balancer, or host names where it has those. */
function balancerAddresses({ status }: Service): string[] {
  const texts = (status?.loadBalancer?.ingress ?? []).map(({ ip, hostname }) => ip || hostname || "");
  return [...new Set(texts.filter((text) => text !== ""))].sort();
}

function printExternalIp(service: Service): string {
  const { type, externalIPs = [], externalName = "" } = service.spec ?? {};
  switch (type) {
    case "ClusterIP":
    case "NodePort":
      return externalIPs.join(",") || none;
    case "LoadBalancer":
      return [...balancerAddresses(service), ...externalIPs].join(",") || "<pending>";
    case "ExternalName":
      return externalName;
    default:
      return "<unknown>";
  }
}

const printPort = ({ port, nodePort, protocol }: ServicePort): string =>
  `${port}${nodePort ? `:${nodePort}` : ""}/${protocol}`;

export const serviceColumns: readonly Column<Service>[] = [
  {
    name: "Type",
    type: "string",
    description: { field: "V1ServiceSpec.type" },
    of: ({ spec }) => spec?.type ?? "",
  },
  {
    name: "Cluster-IP",
    type: "string",
    description: { field: "V1ServiceSpec.clusterIP", gaps: { "90": "  ", "127": "  " } },
    of: ({ spec }) => spec?.clusterIPs?.[0] ?? none,
  },
  {
    name: "External-IP",
    type: "string",
    description: { field: "V1ServiceSpec.externalIPs", gaps: { "20": "  ", "27": "  ", "42": "  " } },
    of: printExternalIp,
  },
  {
    name: "Port(s)",
    type: "string",
    description: { field: "V1ServiceSpec.ports" },
    of: ({ spec }) => (spec?.ports ?? []).map(printPort).join(",") || none,
  },
  ageColumn,
  {
    name: "Selector",
    type: "string",
    priority: 1,
    description: { field: "V1ServiceSpec.selector" },
    of: ({ spec }) => printLabels(spec?.selector),
  },
];
