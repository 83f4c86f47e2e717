/** What makes a network policy valid. */
import { isPortName, isPortNumber } from "#machinery";
import { Place } from "../../place.ts";
import { hasInvalidSelectorValue, validateLabelSelector } from "../../selectors.ts";
import { specOf } from "../../spec-of.ts";
import { isStrictSubset, validateStrictCidr } from "../../strict-ip.ts";
import type { IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort } from "../../types.d.ts";

const protocols = ["TCP", "UDP", "SCTP"];
const directions = ["Ingress", "Egress"];

interface Rules {
  /** Selectors may have values that no label can have. */
  readonly anyValue: boolean;
  /** CIDRs that the stored policy has. */
  readonly cidrs: ReadonlySet<string>;
}

/** The rules of both directions, with their places. */
export function* rulesOf(policy: NetworkPolicy, at: Place) {
  const { ingress = [], egress = [] } = specOf(policy);
  for (const [i, { ports = [], from = [] }] of ingress.entries()) {
    const place = at.child("ingress").index(i);
    yield { ports, peers: from, portsAt: place.child("ports"), peersAt: place.child("from") };
  }
  for (const [i, { ports = [], to = [] }] of egress.entries()) {
    const place = at.child("egress").index(i);
    yield { ports, peers: to, portsAt: place.child("ports"), peersAt: place.child("to") };
  }
}

function* cidrsOf(policy: NetworkPolicy): Generator<string> {
  for (const { peers } of rulesOf(policy, Place.root("spec"))) {
    for (const { ipBlock } of peers) if (ipBlock) yield* [ipBlock.cidr ?? "", ...(ipBlock.except ?? [])];
  }
}

export function validatePolicy(policy: NetworkPolicy, old?: NetworkPolicy): Place {
  const at = Place.root("spec");
  const { podSelector, policyTypes = [] } = specOf(policy);
  const rules: Rules = {
    anyValue: hasInvalidSelectorValue(old?.spec?.podSelector),
    cidrs: new Set(old && cidrsOf(old)),
  };
  validateLabelSelector(podSelector, at.child("podSelector"), rules);
  for (const { ports, peers, portsAt, peersAt } of rulesOf(policy, at)) {
    ports.forEach((port, i) => {
      validatePort(port, portsAt.index(i));
    });
    peers.forEach((peer, i) => {
      validatePeer(peer, peersAt.index(i), rules);
    });
  }
  const typesAt = at.child("policyTypes");
  if (policyTypes.length > directions.length) typesAt.invalid(policyTypes, "may not specify more than two policyTypes");
  else {
    policyTypes.forEach((type, i) => {
      if (!directions.includes(type)) typesAt.index(i).notSupported(type, directions);
    });
  }
  return at;
}

function validatePort({ protocol, port, endPort }: NetworkPolicyPort, at: Place): void {
  if (protocol !== undefined && !protocols.includes(protocol)) at.child("protocol").notSupported(protocol, protocols);
  const portAt = at.child("port");
  const endAt = at.child("endPort");
  if (port === undefined) {
    if (endPort !== undefined) endAt.invalid(endPort, "may not be specified when `port` is not specified");
  } else if (typeof port === "string") {
    if (endPort !== undefined) endAt.invalid(endPort, "may not be specified when `port` is non-numeric");
    portAt.invalidEach(port, isPortName(port));
  } else {
    portAt.invalidEach(port, isPortNumber(port));
    if (endPort === undefined) return;
    // The value is upstream's.
    if (endPort < port) endAt.invalid(port, "must be greater than or equal to `port`");
    endAt.invalidEach(endPort, isPortNumber(endPort));
  }
}

function validatePeer({ podSelector, namespaceSelector, ipBlock }: NetworkPolicyPeer, at: Place, rules: Rules): void {
  validateLabelSelector(podSelector, at.child("podSelector"), rules);
  validateLabelSelector(namespaceSelector, at.child("namespaceSelector"), rules);
  if (ipBlock) validateBlock(ipBlock, at.child("ipBlock"), rules);
  const selects = podSelector !== undefined || namespaceSelector !== undefined;
  if (!selects && !ipBlock) at.required("must specify a peer");
  else if (selects && ipBlock) at.forbidden("may not specify both ipBlock and another peer");
}

function validateBlock({ cidr = "", except = [] }: IPBlock, at: Place, { cidrs }: Rules): void {
  if (cidr === "") {
    at.child("cidr").required();
    return;
  }
  const block = validateStrictCidr(cidr, at.child("cidr"), cidrs);
  if (!block) return;
  except.forEach((each, i) => {
    const place = at.child("except").index(i);
    const hole = validateStrictCidr(each, place, cidrs);
    if (hole && !isStrictSubset(hole, block)) place.invalid(each, "must be a strict subset of `cidr`");
  });
}
