/**
 * What a node has and what of it is left for pods: capacity less what the system, this program and the thresholds of eviction keep. Pure; follows
 * upstream's node allocatable, its rounding and its texts included.
 */
import {
  addQuantities,
  compareQuantities,
  printQuantity,
  type Quantity,
  quantityOf,
  quantitySign,
  quantityValue,
  subtractQuantities,
} from "#machinery";
import type { KubeletConfiguration } from "../config/configuration.ts";
import { milliOf, unitsOf } from "../core/quantity.ts";
import { cpuShares, kernelPageSize } from "../core/resources.ts";
import type { GroupValues } from "../node/cgroups.ts";
import type { MachineFacts } from "../node/machine.ts";
import { cpuCount } from "./cpu-set.ts";

type Amounts = Readonly<Record<string, string>>;
type Settings = Pick<
  KubeletConfiguration,
  | "systemReserved"
  | "kubeReserved"
  | "reservedSystemCPUs"
  | "evictionHard"
  | "maxPods"
  | "podsPerCore"
  | "enforceNodeAllocatable"
  | "cgroupsPerQOS"
>;

export interface NodeAmountsInput {
  readonly machine: Pick<MachineFacts, "cpus" | "memoryBytes" | "hugepageBytes">;
  readonly diskBytes: number;
  readonly config: Settings;
  /** Of device plugins. */
  readonly devices?: { readonly capacity: Amounts; readonly allocatable: Amounts };
}

export interface NodeAmounts {
  readonly capacity: Amounts;
  readonly allocatable: Amounts;
}

const bytesText = (bytes: number): string => printQuantity(quantityOf(bytes, "BinarySI"));

export function capacityOf({ machine, diskBytes, config, devices }: NodeAmountsInput): Record<string, string> {
  const { maxPods, podsPerCore } = config;
  return {
    cpu: String(machine.cpus),
    "ephemeral-storage": bytesText(diskBytes),
    ...Object.fromEntries(
      Object.entries(machine.hugepageBytes).map(([size, bytes]) => [`hugepages-${size}`, bytesText(bytes)]),
    ),
    memory: bytesText(machine.memoryBytes),
    pods: String(podsPerCore > 0 ? Math.min(podsPerCore * machine.cpus, maxPods) : maxPods),
    ...devices?.capacity,
  };
}

/** What the settings name; explicitly reserved cpus go before numbers of them. */
function reservedBy(config: Settings): Amounts[] {
  const { systemReserved, kubeReserved, reservedSystemCPUs } = config;
  if (reservedSystemCPUs === "") return [systemReserved, kubeReserved];
  const { cpu: _, ...others } = kubeReserved;
  return [{ ...systemReserved, cpu: String(cpuCount(reservedSystemCPUs)) }, others];
}

const evictionSignals: readonly (readonly [signal: string, resource: string])[] = [
  ["memory.available", "memory"],
  ["nodefs.available", "ephemeral-storage"],
];

function keptFromEviction({ evictionHard }: Settings, capacity: Amounts): Record<string, Quantity> {
  const kept: Record<string, Quantity> = {};
  for (const [signal, resource] of evictionSignals) {
    const threshold = evictionHard[signal];
    if (threshold === undefined) continue;
    const share = /^(.*)%$/.exec(threshold)?.[1];
    const bytes = share === undefined ? unitsOf(threshold) : (unitsOf(capacity[resource]) * Number(share)) / 100;
    kept[resource] = quantityOf(Math.floor(bytes), "BinarySI");
  }
  return kept;
}

const atLeastZero = (quantity: Quantity): Quantity => (quantitySign(quantity) < 0 ? quantityOf(0) : quantity);

export function nodeAmounts(input: NodeAmountsInput): NodeAmounts {
  const { config, devices } = input;
  const capacity = capacityOf(input);
  const kept = keptFromEviction(config, capacity);
  const allocatable: Record<string, string> = {};
  const reservations = reservedBy(config);
  for (const [name, has] of Object.entries(capacity)) {
    let left: string | Quantity = has;
    for (const each of [...reservations.map((list) => list[name]), kept[name]])
      if (each !== undefined) left = subtractQuantities(left, each);
    allocatable[name] = typeof left === "string" ? left : printQuantity(atLeastZero(left));
  }
  let memory: string | Quantity = allocatable.memory ?? "0";
  for (const [name, value] of Object.entries(allocatable))
    if (name.startsWith("hugepages-") && quantityValue(value) > 0) memory = subtractQuantities(memory, value);
  if (typeof memory !== "string") allocatable.memory = printQuantity(atLeastZero(memory));
  return { capacity, allocatable: { ...allocatable, ...devices?.allocatable } };
}

/** Throws upstream's text when more is reserved than there is. */
export function checkReservations(input: NodeAmountsInput): void {
  const capacity = capacityOf(input);
  const kept = keptFromEviction(input.config, capacity);
  const complaints = Object.entries(capacity).flatMap(([name, has]) => {
    let sum: Quantity = quantityOf(0);
    for (const each of [...reservedBy(input.config).map((list) => list[name]), kept[name]])
      if (each !== undefined) sum = addQuantities(sum, each);
    if (compareQuantities(sum, has) <= 0) return [];
    return `Resource ${JSON.stringify(name)} has a reservation of ${printQuantity(sum)} but capacity of ${has}. Expected capacity >= reservation.`;
  });
  if (complaints.length > 0) throw new Error(`invalid Node Allocatable configuration. ${complaints.join(" ")}`);
}

/** What all pods together may use: not the thresholds of eviction, which should come before the kernel's own ways. */
export function podsLimits(input: NodeAmountsInput, pidsMax: number): GroupValues {
  const { config } = input;
  const capacity: Record<string, string> = { ...capacityOf(input), pid: String(pidsMax) };
  const enforces = config.cgroupsPerQOS && config.enforceNodeAllocatable.includes("pods");
  const left = Object.fromEntries(
    Object.entries(capacity).map(([name, has]) => {
      let value: string | Quantity = has;
      if (enforces)
        for (const list of reservedBy(config))
          if (list[name] !== undefined) value = subtractQuantities(value, list[name]);
      return [name, typeof value === "string" ? value : printQuantity(atLeastZero(value))];
    }),
  );
  return groupValuesOf(left);
}

/** A list of resources as limits of a group. */
export function groupValuesOf(amounts: Amounts, compressibleOnly = false): GroupValues {
  const { cpu, memory, pid } = amounts;
  const hugepages = Object.entries(amounts).flatMap(([name, value]) =>
    name.startsWith("hugepages-")
      ? [{ pageSize: kernelPageSize(unitsOf(name.slice("hugepages-".length))), limit: unitsOf(value) }]
      : [],
  );
  return {
    ...(cpu === undefined ? {} : { cpuShares: cpuShares(milliOf(cpu)) }),
    ...(compressibleOnly || memory === undefined ? {} : { memoryLimitBytes: unitsOf(memory) }),
    ...(compressibleOnly || pid === undefined ? {} : { pidsMax: unitsOf(pid) }),
    ...(compressibleOnly ? {} : { hugepages }),
  };
}

/** Groups outside the pods' that the settings want limited, and how the events call them. */
export function reservedGroups(
  config: Pick<
    KubeletConfiguration,
    "enforceNodeAllocatable" | "systemReserved" | "kubeReserved" | "systemReservedCgroup" | "kubeReservedCgroup"
  >,
): { title: string; group: string; values: GroupValues }[] {
  const { systemReserved, kubeReserved, systemReservedCgroup, kubeReservedCgroup } = config;
  const known: Readonly<Record<string, readonly [title: string, group: string, Amounts, boolean]>> = {
    "system-reserved": ["System Reserved", systemReservedCgroup, systemReserved, false],
    "kube-reserved": ["Kube Reserved", kubeReservedCgroup, kubeReserved, false],
    "system-reserved-compressible": ["System Reserved Compressible", systemReservedCgroup, systemReserved, true],
    "kube-reserved-compressible": ["Kube Reserved Compressible", kubeReservedCgroup, kubeReserved, true],
  };
  return Object.entries(known).flatMap(([key, [title, group, amounts, compressible]]) =>
    config.enforceNodeAllocatable.includes(key) ? [{ title, group, values: groupValuesOf(amounts, compressible) }] : [],
  );
}

/** Thousandths of cpu that the settings keep from pods. */
export const cpusReservedMilli = (config: Settings): number =>
  reservedBy(config).reduce((sum, list) => sum + milliOf(list.cpu), 0);
