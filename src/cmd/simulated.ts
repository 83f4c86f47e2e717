/** Simulated nodes of `up` and `kubelet`: the flags, and what a cluster on them needs of this machine, which is next to nothing. */
import { hostname, networkInterfaces } from "node:os";
import type { FlagSpecs, Logger } from "#base";
import { realClock } from "#base";
import type { Client } from "#client";
import { loadSimulatedNodes, type SimulatedNodes } from "#kubelet";
import { CommandError } from "./command.ts";
import { kubernetesVersion } from "./version.ts";

/** More would need more than a /8 for their pods. */
const nodesMax = 16_384;
/** Each has a containerd and an agent, 150 MB together, and an address of a /24. */
const containersNodesMax = 100;

export const nodesFlags = {
  nodes: {
    type: "int",
    default: 1,
    min: 1,
    max: nodesMax,
    value: "N",
    help: "How many nodes; with containers each but the first has network and mount namespaces of its own.",
  },
  "node-capacity": {
    type: "strings",
    default: [],
    value: "NAME=QUANTITY",
    help: "What each simulated node has (default cpu=32,memory=128Gi,pods=110).",
  },
} as const satisfies FlagSpecs;

interface Values {
  readonly runtime: string;
  readonly nodes: number;
  readonly "node-capacity": readonly string[];
  readonly "node-name"?: string | undefined;
}

/** Answers whether nodes are simulated. */
export function readNodesFlags({ runtime, nodes, "node-capacity": capacity }: Values): boolean {
  if (runtime === "simulated") return true;
  if (nodes > containersNodesMax)
    throw new CommandError(
      `--nodes ${nodes}: ${containersNodesMax} at most with ${runtime}; --runtime simulated has more`,
    );
  if (capacity.length > 0) throw new CommandError("--node-capacity works with --runtime simulated only");
  return false;
}

export async function startSimulated(
  values: Values,
  { client, log }: { client: Client; log: Logger },
  signal: AbortSignal,
): Promise<SimulatedNodes> {
  const { startSimulatedNodes } = await loadSimulatedNodes();
  const first = values["node-name"] ?? (values.nodes === 1 ? hostname().toLowerCase() : "node");
  const names = (index: number) => (values.nodes === 1 ? first : `${first}-${index}`);
  const capacity = Object.fromEntries(values["node-capacity"].map(readCapacity));
  const count = values.nodes;
  // Nodes of another name are of another process.
  const firstHost = [...(values["node-name"] ?? "")].reduce(
    (sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 65_000,
    0,
  );
  return startSimulatedNodes(
    { client, count, names, firstHost, capacity, version: kubernetesVersion, clock: realClock, log },
    signal,
  );
}

function readCapacity(text: string): [string, string] {
  const [, name, quantity] = /^([^=]+)=(\d\S*)$/.exec(text) ?? [];
  if (name !== undefined && quantity !== undefined) return [name, quantity];
  throw new CommandError(`--node-capacity ${text}: want NAME=QUANTITY such as cpu=8`);
}

/** A range of pod addresses, made as wide as it must be for a /24 for each node. */
export function widened(cidr: string, nodes: number): string {
  const [address = "", bits = "16"] = cidr.split("/");
  const prefixBits = Math.min(Number(bits), 24 - Math.ceil(Math.log2(Math.max(1, nodes))));
  const number = address.split(".").reduce((sum, byte) => sum * 256 + Number(byte), 0);
  const start = number - (number % 2 ** (32 - prefixBits));
  return `${[24, 16, 8, 0].map((shift) => Math.floor(start / 2 ** shift) % 256).join(".")}/${prefixBits}`;
}

/** Where others may reach this machine. */
export function ownAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((each = []) => each);
  return all.find(({ family, internal }) => family === "IPv4" && !internal)?.address ?? "127.0.0.1";
}
