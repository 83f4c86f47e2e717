/** Is this packet allowed? Read off the API's definition, one packet at a time, with no thought of speed: what tests hold rules against. */
import type { Namespace, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, Pod } from "#api";
import { parseCidr, parseIp } from "#api";
import { compileLabelSelector } from "#machinery";
import type { Packet } from "./test-nft.ts";

export interface World {
  readonly policies: readonly NetworkPolicy[];
  readonly namespaces: readonly Namespace[];
  readonly pods: readonly Pod[];
}

export function isAllowed(world: World, { from, to, protocol, port }: Packet, nodeName: string): boolean {
  const sender = podAt(world, from);
  const receiver = podAt(world, to);
  if (sender && sender === receiver) return true;
  const allows = (pod: Pod | undefined, direction: "Ingress" | "Egress") => {
    if (!pod || pod.spec?.nodeName !== nodeName) return true;
    const own = world.policies.filter((policy) => isAbout(policy, pod, direction));
    if (own.length === 0) return true;
    return own.some(({ metadata, spec }) => {
      const rules =
        direction === "Ingress"
          ? (spec?.ingress ?? []).map(({ from: peers, ports }) => ({ peers, ports }))
          : (spec?.egress ?? []).map(({ to: peers, ports }) => ({ peers, ports }));
      const far = direction === "Ingress" ? { pod: sender, address: from } : { pod: receiver, address: to };
      return rules.some(
        ({ peers, ports }) =>
          (!peers?.length ||
            peers.some((peer) => isPeer(world, peer, { ...far, namespace: metadata.namespace ?? "" }))) &&
          (!ports?.length || ports.some((each) => isPort(each, { protocol, port, receiver }))),
      );
    });
  };
  return allows(sender, "Egress") && allows(receiver, "Ingress");
}

const podAt = ({ pods }: World, address: string) =>
  pods.find(
    ({ spec, status }) =>
      !spec?.hostNetwork && status?.phase === "Running" && status.podIPs?.some(({ ip }) => ip === address),
  );

function isAbout({ metadata, spec }: NetworkPolicy, pod: Pod, direction: "Ingress" | "Egress"): boolean {
  const types = spec?.policyTypes ?? ["Ingress", ...(spec?.egress?.length ? ["Egress"] : [])];
  if (metadata.namespace !== pod.metadata.namespace || !types.includes(direction)) return false;
  return compileLabelSelector(spec?.podSelector ?? {}).matches(pod.metadata.labels);
}

function isPeer(
  { namespaces }: World,
  { ipBlock, namespaceSelector, podSelector }: NetworkPolicyPeer,
  far: { pod: Pod | undefined; address: string; namespace: string },
): boolean {
  if (ipBlock) return isIn(far.address, ipBlock.cidr) && !ipBlock.except?.some((each) => isIn(far.address, each));
  if (!far.pod) return false;
  const own = namespaces.find(({ metadata }) => metadata.name === far.pod?.metadata.namespace);
  if (namespaceSelector) {
    if (!own || !compileLabelSelector(namespaceSelector).matches(own.metadata.labels)) return false;
  } else if (far.pod.metadata.namespace !== far.namespace) return false;
  return compileLabelSelector(podSelector ?? {}).matches(far.pod.metadata.labels);
}

function isPort(
  { protocol = "TCP", port, endPort }: NetworkPolicyPort,
  packet: { protocol: string; port: number; receiver: Pod | undefined },
): boolean {
  if (protocol.toLowerCase() !== packet.protocol) return false;
  if (port === undefined) return true;
  if (typeof port === "number") return packet.port >= port && packet.port <= (endPort ?? port);
  const ports = packet.receiver?.spec?.containers.flatMap(({ ports: all = [] }) => all) ?? [];
  const named = ports.find((each) => each.name === port && (each.protocol ?? "TCP") === protocol);
  return named?.containerPort === packet.port;
}

/** Bit by bit. */
function isIn(address: string, cidr: string): boolean {
  const network = parseCidr(cidr);
  const own = parseIp(address);
  if (!network || !own || own.family !== network.address.family) return false;
  const bits = (bytes: readonly number[]) => bytes.map((byte) => byte.toString(2).padStart(8, "0")).join("");
  return bits(own.bytes).startsWith(bits(network.address.bytes).slice(0, network.prefixBits));
}
