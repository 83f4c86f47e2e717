/** Endpoints: the addresses behind a service, as they were before EndpointSlice. Follows upstream's registry/core/endpoint. */
import { type FieldError, isDns1123Label, isPortNumber, isQualifiedName, nameIsDnsSubdomain } from "#machinery";
import { ageColumn, none } from "../columns.ts";
import { semanticEqual } from "../equality.ts";
import { isIpv6Text, validateIp, validateNonSpecialIp } from "../ip.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import { protocols } from "../pod-spec/ports.ts";
import type { EndpointAddress, EndpointPort, EndpointSubset, Endpoints } from "../types.d.ts";

function validateSubsets(subsets: readonly EndpointSubset[]): FieldError[] {
  const root = Place.root("subsets");
  subsets.forEach(({ addresses = [], notReadyAddresses = [], ports = [] }, i) => {
    const at = root.index(i);
    if (addresses.length + notReadyAddresses.length === 0) {
      at.required("must specify `addresses` or `notReadyAddresses`");
    }
    const address = (list: "addresses" | "notReadyAddresses") => (each: EndpointAddress, position: number) => {
      validateAddress(each, at.child(list).index(position));
    };
    addresses.forEach(address("addresses"));
    notReadyAddresses.forEach(address("notReadyAddresses"));
    ports.forEach((port, position) => {
      validatePort(port, at.child("ports").index(position), ports.length > 1);
    });
  });
  return root.errors;
}

function validateAddress({ ip, hostname, nodeName }: EndpointAddress, at: Place): void {
  validateIp(ip, at.child("ip"));
  if (hostname) at.child("hostname").invalidEach(hostname, isDns1123Label(hostname));
  if (nodeName !== undefined) at.child("nodeName").invalidEach(nodeName, nameIsDnsSubdomain(nodeName, false));
  validateNonSpecialIp(ip, at.child("ip"));
}

function validatePort({ name = "", port, protocol, appProtocol }: EndpointPort, at: Place, needsName: boolean): void {
  if (name !== "") at.child("name").invalidEach(name, isDns1123Label(name));
  else if (needsName) at.child("name").required();
  at.child("port").invalidEach(port, isPortNumber(port));
  if (!protocol) at.child("protocol").required();
  else if (!protocols.includes(protocol)) at.child("protocol").notSupported(protocol, protocols);
  if (appProtocol !== undefined) at.child("appProtocol").invalidEach(appProtocol, isQualifiedName(appProtocol));
}

const shownMax = 3;

/** The first few addresses with their ports; headless services may have no ports. */
function printEndpoints({ subsets = [] }: Endpoints): string {
  if (subsets.length === 0) return none;
  const shown = subsets.flatMap(({ addresses = [], ports = [] }) =>
    ports.length === 0
      ? addresses.map(({ ip }) => ip)
      : ports.flatMap(({ port }) => addresses.map(({ ip }) => `${isIpv6Text(ip) ? `[${ip}]` : ip}:${port}`)),
  );
  const more = shown.length - shownMax;
  return shown.slice(0, shownMax).join(",") + (more > 0 ? ` + ${more} more...` : "");
}

export const endpointsKind = defineKind<Endpoints>({
  group: "",
  kind: "Endpoints",
  resource: "endpoints",
  storageVersion: "v1",
  allowCreateOnUpdate: true,

  defaults({ subsets = [] }) {
    for (const { ports = [] } of subsets) for (const port of ports) port.protocol ||= "TCP";
  },
  validate: ({ subsets = [] }) => validateSubsets(subsets),
  validateUpdate({ subsets = [] }, old) {
    const errors = validateSubsets(subsets);
    // An older release may have let them in.
    return errors.length > 0 && semanticEqual(subsets, old.subsets) ? [] : errors;
  },

  columns: [
    {
      name: "Endpoints",
      type: "string",
      description: { field: "V1Endpoints.subsets" },
      of: printEndpoints,
    },
    ageColumn,
  ],
});
