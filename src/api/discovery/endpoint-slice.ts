/** EndpointSlice: some of the addresses behind a service. Follows upstream's registry/discovery/endpointslice. */
import { jsonEqual, nameIsDnsSubdomain } from "#machinery";
import { ageColumn } from "../columns.ts";
import { ipWarnings } from "../ip-warnings.ts";
import { type Column, defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import { firstGeneration } from "../strategy.ts";
import type { DiscoveryV1EndpointPort, EndpointSlice } from "../types.d.ts";
import { validateSlice } from "./endpoint-slice/validate.ts";

const nodeLabel = "kubernetes.io/hostname";

/** The old beta version's way to say where an endpoint is. It isn't written any more, but an update keeps the node's name. */
function dropTopology(slice: EndpointSlice, old: EndpointSlice | undefined): void {
  if (old && jsonEqual(slice.endpoints, old.endpoints)) return;
  const nodes = new Set(old?.endpoints?.map(({ deprecatedTopology: topology }) => topology?.[nodeLabel]));
  for (const endpoint of slice.endpoints ?? []) {
    const node = endpoint.deprecatedTopology?.[nodeLabel];
    if (node !== undefined && nodes.has(node) && nameIsDnsSubdomain(node, false).length === 0) {
      endpoint.nodeName ??= node;
    }
    delete endpoint.deprecatedTopology;
  }
}

const isSame = (slice: EndpointSlice, old: EndpointSlice): boolean =>
  slice.addressType === old.addressType &&
  jsonEqual(slice.endpoints ?? [], old.endpoints ?? []) &&
  jsonEqual(slice.ports ?? [], old.ports ?? []) &&
  jsonEqual(slice.metadata.labels ?? {}, old.metadata.labels ?? {});

/** They would only repeat what the object that they follow was warned about. */
const quietControllers = ["endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"];

function warningsOf({ addressType, endpoints, metadata }: EndpointSlice): string[] {
  const manager = metadata.labels?.["endpointslice.kubernetes.io/managed-by"] ?? "";
  if (quietControllers.includes(manager) || (addressType !== "IPv4" && addressType !== "IPv6")) return [];
  const at = Place.root("endpoints");
  return (endpoints ?? []).flatMap(({ addresses }, i) =>
    (addresses ?? []).flatMap((address, j) => ipWarnings(address, at.index(i).child("addresses").index(j))),
  );
}

const shownMax = 3;

function printSome(texts: readonly string[]): string {
  const more = texts.length - shownMax;
  if (more > 0) return `${texts.slice(0, shownMax).join(",")} + ${more} more...`;
  return texts.join(",") || "<unset>";
}

const printPort = ({ port, name }: DiscoveryV1EndpointPort): string =>
  port === undefined ? (name ?? "*") : String(port);

const columns: readonly Column<EndpointSlice>[] = [
  {
    name: "AddressType",
    type: "string",
    description: { field: "V1EndpointSlice.addressType" },
    of: ({ addressType }) => addressType ?? "",
  },
  {
    name: "Ports",
    type: "string",
    description: { field: "V1EndpointSlice.ports" },
    of: ({ ports }) => printSome((ports ?? []).map(printPort)),
  },
  {
    name: "Endpoints",
    type: "string",
    description: { field: "V1EndpointSlice.endpoints" },
    of: ({ endpoints }) => printSome((endpoints ?? []).flatMap(({ addresses }) => addresses ?? [])),
  },
  ageColumn,
];

export const endpointSliceKind = defineKind<EndpointSlice>({
  group: "discovery.k8s.io",
  kind: "EndpointSlice",
  resource: "endpointslices",
  storageVersion: "v1",

  defaults({ ports }) {
    for (const port of ports ?? []) {
      port.name ??= "";
      port.protocol ??= "TCP";
    }
  },
  prepareForCreate(slice) {
    firstGeneration(slice);
    dropTopology(slice, undefined);
  },
  prepareForUpdate(slice, old) {
    const generation = old.metadata.generation ?? 0;
    slice.metadata.generation = isSame(slice, old) ? generation : generation + 1;
    dropTopology(slice, old);
  },
  validate: (slice) => validateSlice(slice),
  validateUpdate: (slice, old) => validateSlice(slice, old),
  warningsOnCreate: (slice) => [
    ...(slice.addressType === "FQDN" ? ["spec.addressType: FQDN endpoints are deprecated"] : []),
    ...warningsOf(slice),
  ],
  warningsOnUpdate: warningsOf,

  columns,
});
