/** What policies need to know of a pod, and no more: a node keeps this of every pod of the cluster. */
import { isIP } from "node:net";
import type { Pod } from "#api";
import type { DeepReadonly, Labels } from "#machinery";

export interface NamedPort {
  readonly name: string;
  /** In small letters, as nft writes it. */
  readonly protocol: string;
  readonly port: number;
}

export interface PodFacts {
  /** `namespace/name`. */
  readonly key: string;
  readonly uid: string;
  readonly namespace: string;
  readonly labels: Labels;
  readonly addresses: readonly string[];
  readonly ports: readonly NamedPort[];
  /** It runs on this node, where its policies are held. */
  readonly local: boolean;
}

const noLabels: Labels = Object.freeze({});
const noPorts: readonly NamedPort[] = Object.freeze([]);

/**
 * Undefined for pods without addresses of their own: those on their node's network, which no policy selects, and those that have
 * ended, whose addresses somebody else may have by now.
 */
export function podFacts(pod: DeepReadonly<Pod>, nodeName: string): PodFacts | undefined {
  const { metadata, spec, status } = pod;
  if (spec?.hostNetwork || status?.phase === "Succeeded" || status?.phase === "Failed") return undefined;
  const { namespace = "", name = "", uid = "", labels = noLabels } = metadata;
  const addresses = status?.podIPs?.length ? status.podIPs.map(({ ip }) => ip ?? "") : [status?.podIP ?? ""];
  return {
    key: `${namespace}/${name}`,
    uid,
    namespace,
    labels,
    addresses: addresses.filter((address) => isIP(address) !== 0),
    ports: namedPorts(pod),
    local: spec?.nodeName === nodeName,
  };
}

/** The first container that has a name for a protocol is meant, then sidecars, as for Services. */
function namedPorts({ spec }: DeepReadonly<Pod>): readonly NamedPort[] {
  const found: NamedPort[] = [];
  const sidecars = spec?.initContainers?.filter(({ restartPolicy }) => restartPolicy === "Always") ?? [];
  for (const { ports = [] } of [...(spec?.containers ?? []), ...sidecars])
    for (const { name, protocol: written = "TCP", containerPort } of ports) {
      const protocol = written.toLowerCase();
      if (!name || found.some((each) => each.name === name && each.protocol === protocol)) continue;
      found.push({ name, protocol, port: containerPort });
    }
  return found.length === 0 ? noPorts : found;
}

/** Whether rules made for one hold for the other. */
export const sameFacts = (a: PodFacts, b: PodFacts): boolean =>
  a.uid === b.uid &&
  a.local === b.local &&
  String(a.addresses) === String(b.addresses) &&
  JSON.stringify(a.labels) === JSON.stringify(b.labels) &&
  JSON.stringify(a.ports) === JSON.stringify(b.ports);
