/** What makes an endpoint slice valid. */
import {
  type FieldError,
  isDns1123Label,
  isFullyQualifiedDomainName,
  isLabelValue,
  isQualifiedName,
  nameIsDnsSubdomain,
  validateImmutable,
} from "#machinery";
import { semanticEqual } from "../../equality.ts";
import { validateNonSpecialIp } from "../../ip.ts";
import { Place } from "../../place.ts";
import { protocols } from "../../pod-spec/ports.ts";
import { validateLabels } from "../../selectors.ts";
import { validateStrictIp } from "../../strict-ip.ts";
import type { DiscoveryV1EndpointPort, Endpoint, EndpointHints, EndpointSlice } from "../../types.d.ts";

const addressTypes = ["FQDN", "IPv4", "IPv6"];
const endpointsMax = 1000;
const addressesMax = 100;
const portsMax = 20_000;
const topologyLabelsMax = 16;
const hintsMax = 8;
const zoneLabel = "topology.kubernetes.io/zone";

export function validateSlice(slice: EndpointSlice, old?: EndpointSlice): FieldError[] {
  const errors: FieldError[] = [];
  const { addressType = "", endpoints, ports } = slice;
  const typeAt = Place.root("addressType", errors);
  if (addressType === "") typeAt.required();
  else if (!addressTypes.includes(addressType)) typeAt.notSupported(addressType, addressTypes);
  // Without any the field is there, as null.
  validatePorts(ports ?? [], Place.root("ports", errors));
  const endpointsAt = Place.root("endpoints", errors);
  // What older releases let in may stay.
  if (old && semanticEqual(endpoints, old.endpoints)) {
    // Nothing to check.
  } else if ((endpoints?.length ?? 0) > endpointsMax) endpointsAt.tooMany(endpoints?.length ?? 0, endpointsMax);
  else {
    endpoints?.forEach((endpoint, i) => {
      validateEndpoint(endpoint, endpointsAt.index(i), addressType);
    });
  }
  if (old) typeAt.add(validateImmutable(addressType, old.addressType, typeAt.path));
  return errors;
}

function validateEndpoint(endpoint: Endpoint, at: Place, addressType: string): void {
  const { nodeName, deprecatedTopology: topology, hostname, hints } = endpoint;
  const addresses = endpoint.addresses ?? []; // printed as null
  const addressesAt = at.child("addresses");
  if (addresses.length === 0) addressesAt.required("must contain at least 1 address");
  else if (addresses.length > addressesMax) addressesAt.tooMany(addresses.length, addressesMax);
  addresses.forEach((address, i) => {
    const place = addressesAt.index(i);
    if (addressType === "FQDN") validateHostName(address, place);
    // Of an unknown type there is nothing to say.
    else if (addressType === "IPv4" || addressType === "IPv6") {
      const parsed = validateStrictIp(address, place);
      if (!parsed) return;
      if (parsed.family !== addressType) addressesAt.invalid(address, `must be an ${addressType} address`);
      validateNonSpecialIp(address, place);
    }
  });
  if (nodeName !== undefined) at.child("nodeName").invalidEach(nodeName, nameIsDnsSubdomain(nodeName, false));
  const topologyAt = at.child("deprecatedTopology");
  const labels = Object.keys(topology ?? {}).length;
  if (labels > topologyLabelsMax) topologyAt.tooMany(labels, topologyLabelsMax);
  validateLabels(topology, topologyAt);
  if (topology?.[zoneLabel] !== undefined) {
    topologyAt.key(zoneLabel).internal("reserved key was not removed in conversion");
  }
  if (hostname !== undefined) at.child("hostname").invalidEach(hostname, isDns1123Label(hostname));
  if (hints) validateHints(hints, at.child("hints"));
}

function validateHostName(address: string, at: Place): void {
  const wrong = isFullyQualifiedDomainName(address);
  if (address === "") at.required();
  else if (wrong) at.invalid(wrong.value, wrong.message);
}

function validateHints({ forZones = [], forNodes = [] }: EndpointHints, at: Place): void {
  const zonesAt = at.child("forZones");
  const nodesAt = at.child("forNodes");
  if (forZones.length > hintsMax) zonesAt.tooMany(forZones.length, hintsMax);
  else validateNames(forZones, zonesAt, isLabelValue);
  if (forNodes.length > hintsMax) nodesAt.tooMany(forNodes.length, hintsMax);
  else validateNames(forNodes, nodesAt, (name) => nameIsDnsSubdomain(name, false));
}

type Check = (name: string) => readonly string[];

function validateNames(hints: readonly { name: string }[], at: Place, check: Check): void {
  const seen = new Set<string>();
  hints.forEach(({ name = "" }, i) => {
    const place = at.index(i).child("name");
    if (seen.has(name)) place.duplicate(name);
    seen.add(name);
    place.invalidEach(name, check(name));
  });
}

function validatePorts(ports: readonly DiscoveryV1EndpointPort[], at: Place): void {
  if (ports.length > portsMax) {
    at.tooMany(ports.length, portsMax);
    return;
  }
  const seen = new Set<string>();
  ports.forEach(({ name = "", protocol, appProtocol }, i) => {
    const place = at.index(i);
    if (name !== "") place.child("name").invalidEach(name, isDns1123Label(name));
    if (seen.has(name)) place.child("name").duplicate(name);
    seen.add(name);
    if (protocol === undefined) place.child("protocol").required();
    else if (!protocols.includes(protocol)) place.child("protocol").notSupported(protocol, protocols);
    if (appProtocol !== undefined) place.child("appProtocol").invalidEach(appProtocol, isQualifiedName(appProtocol));
  });
}
