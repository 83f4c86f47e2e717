/**
 * Cpus of their own for containers of guaranteed pods that ask for whole ones; all others share the rest (upstream's `static` policy of the CPU manager).
 * Who has which is in upstream's file, so that it survives this process.
 */
import { readFileSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import type { KubeletConfiguration } from "../config/configuration.ts";
import { podQos } from "../core/qos.ts";
import { milliOf } from "../core/quantity.ts";
import { type ContainerSpec, isSidecar, type PodView } from "../core/types.ts";
import { AdmissionError } from "./allocator.ts";
import { distributeCpus, takeCpus } from "./cpu-assignment.ts";
import { parseCpuSet, printCpuSet } from "./cpu-set.ts";
import type { CpuTopology } from "./cpu-topology.ts";
import { fnv32a, printGoMap } from "./go-checksum.ts";
import { countOf, type Hint, type Hints, maskOf, masksOf, nodesIn, withPreference } from "./topology.ts";

interface StateFile {
  policyName: string;
  defaultCpuSet: string;
  entries?: Record<string, Record<string, string>>;
  checksum: number;
}

const checksumOf = ({ policyName, defaultCpuSet, entries = {} }: Omit<StateFile, "checksum">): number => {
  const pods = Object.entries(entries).map(([uid, of]) => [uid, printGoMap(Object.entries(of))] as const);
  return fnv32a(
    `(*state.CPUManagerCheckpoint){PolicyName:(string)${policyName} DefaultCPUSet:(string)${defaultCpuSet} Entries:(map[string]map[string]string)${printGoMap(pods)} Checksum:(checksum.Checksum)0}`,
  );
};

const options = {
  "full-pcpus-only": "stable",
  "strict-cpu-reservation": "stable",
  "prefer-align-cpus-by-uncorecache": "stable",
  "distribute-cpus-across-numa": "beta",
  "align-by-socket": "alpha",
  "distribute-cpus-across-cores": "alpha",
} as const;
type Option = keyof typeof options;

/** Throws with upstream's text. */
function readOptions({ cpuManagerPolicyOptions, featureGates }: KubeletConfiguration): ReadonlySet<Option> {
  const on = new Set<Option>();
  for (const [name, value] of Object.entries(cpuManagerPolicyOptions)) {
    const level = (options as Record<string, string>)[name]; // a name that isn't there has none
    if (level === undefined) throw new Error(`unknown CPU Manager Policy option: ${JSON.stringify(name)}`);
    if (level === "alpha" && !featureGates.CPUManagerPolicyAlphaOptions)
      throw new Error(
        `CPU Manager Policy Alpha-level Options not enabled, but option ${JSON.stringify(name)} provided`,
      );
    if (level === "alpha") throw new Error(`CPU Manager Policy option ${JSON.stringify(name)} is not supported here`);
    if (!/^(1|t|T|true|TRUE|True|0|f|F|false|FALSE|False)$/.test(value))
      throw new Error(
        `bad value for option ${JSON.stringify(name)}: strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`,
      );
    if (/^[1tT]/.test(value)) on.add(name as Option); // it has a level
  }
  return on;
}

export interface CpuManagerOptions {
  /** `cpu_manager_state`. */
  readonly file: string;
  readonly config: KubeletConfiguration;
  readonly topology: CpuTopology;
  /** What the system and this program keep. */
  readonly reservedMilli: number;
  activePods(): ReadonlySet<string>;
  /** Others share more or fewer cpus than before. */
  onShared(): void;
}

export class CpuManager {
  readonly #given: CpuManagerOptions;
  readonly #on: ReadonlySet<Option>;
  readonly #reserved: ReadonlySet<number>;
  /** Cpus of cores of which some are reserved. */
  readonly #reservedCores: ReadonlySet<number>;
  #shared: Set<number>;
  readonly #own = new Map<string, Map<string, Set<number>>>();
  readonly #reusable = new Map<string, Set<number>>();
  #writing: Promise<void> = Promise.resolve();

  /** Throws when the settings or the file don't suit the machine. */
  constructor(given: CpuManagerOptions) {
    this.#given = given;
    const { config, topology, reservedMilli } = given;
    this.#on = readOptions(config);
    if (reservedMilli <= 0)
      throw new Error(
        "[cpumanager] the static policy requires systemreserved.cpu + kubereserved.cpu to be greater than zero",
      );
    const count = Math.ceil(reservedMilli / 1000);
    const all = new Set(topology.cpus.map(({ id }) => id));
    const named = parseCpuSet(config.reservedSystemCPUs);
    this.#reserved = named.size > 0 ? named : this.#take(all, count);
    if (this.#reserved.size !== count)
      throw new Error(
        `[cpumanager] unable to reserve the required amount of CPUs (size of ${printCpuSet(this.#reserved)} did not equal ${count})`,
      );
    const cores = new Set(topology.cpus.filter(({ id }) => this.#reserved.has(id)).map(({ core }) => core));
    this.#reservedCores = new Set(topology.cpus.filter(({ core }) => cores.has(core)).map(({ id }) => id));
    this.#shared = this.#on.has("strict-cpu-reservation") ? difference(all, this.#reserved) : all;
    this.#restore();
  }

  #restore(): void {
    const { file } = this.#given;
    let text: string;
    try {
      text = readFileSync(file, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error; // reading fails with such errors
      void this.#save();
      return;
    }
    const state = JSON.parse(text) as StateFile;
    const fail = (why: string) =>
      new Error(
        `could not restore state from checkpoint: ${why}, please drain this node and delete the CPU manager checkpoint file ${JSON.stringify(file)} before restarting Kubelet`,
      );
    if (checksumOf(state) !== state.checksum) throw fail("checkpoint is corrupted");
    if (state.policyName !== "static")
      throw fail(`configured policy "static" differs from state checkpoint policy ${JSON.stringify(state.policyName)}`);
    const shared = parseCpuSet(state.defaultCpuSet);
    const known = new Set(shared);
    for (const [uid, entries] of Object.entries(state.entries ?? {}))
      for (const [name, cpus] of Object.entries(entries)) {
        const own = parseCpuSet(cpus);
        if ([...own].some((cpu) => shared.has(cpu)))
          throw fail(
            `pod: ${uid}, container: ${name} cpuset: ${JSON.stringify(cpus)} overlaps with default cpuset ${JSON.stringify(state.defaultCpuSet)}`,
          );
        for (const cpu of own) known.add(cpu);
        this.#ownOf(uid).set(name, own);
      }
    const strict = this.#on.has("strict-cpu-reservation");
    const wrong = [...this.#reserved].filter((cpu) => shared.has(cpu) === strict);
    if (wrong.length > 0 && shared.size > 0)
      throw fail(
        strict
          ? `some of strictly reserved cpus: ${JSON.stringify(printCpuSet(wrong))} are present in defaultCpuSet: ${JSON.stringify(state.defaultCpuSet)}`
          : `not all reserved cpus: ${JSON.stringify(printCpuSet(this.#reserved))} are present in defaultCpuSet: ${JSON.stringify(state.defaultCpuSet)}`,
      );
    if (printCpuSet(known) !== printCpuSet(this.#shared))
      throw fail(
        `current set of available CPUs ${JSON.stringify(printCpuSet(this.#shared))} doesn't match with CPUs in state ${JSON.stringify(printCpuSet(known))}`,
      );
    this.#shared = shared;
  }

  #ownOf(uid: string): Map<string, Set<number>> {
    const own = this.#own.get(uid) ?? new Map<string, Set<number>>();
    this.#own.set(uid, own);
    return own;
  }

  #take(available: ReadonlySet<number>, count: number): Set<number> {
    const { topology } = this.#given;
    if (!this.#on.has("distribute-cpus-across-numa")) return takeCpus(topology, available, count);
    const groupSize = this.#on.has("full-pcpus-only") ? topology.cpusPerCore : 1;
    return distributeCpus(topology, available, { count, groupSize });
  }

  /** Whole cpus of its own that a container asks for. */
  #wants(pod: PodView, { resources }: ContainerSpec): number {
    if (
      podQos(pod) !== "Guaranteed" ||
      Object.keys({ ...pod.spec?.resources?.requests, ...pod.spec?.resources?.limits }).length > 0
    )
      return 0;
    const milli = milliOf(resources?.requests?.cpu);
    return milli % 1000 === 0 ? milli / 1000 : 0;
  }

  needs(pod: PodView): boolean {
    return [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])].some(
      (each) => this.#wants(pod, each) > 0,
    );
  }

  /** What a container may use: its own, or what is shared. */
  cpusOf(uid: string, container: string): { cpus: string; isExclusive: boolean } {
    const own = this.#own.get(uid)?.get(container);
    return { cpus: printCpuSet(own ?? this.#shared), isExclusive: own !== undefined };
  }

  hasOwn(uid: string): boolean {
    return (this.#own.get(uid)?.size ?? 0) > 0;
  }

  ownOf(uid: string, container: string): number[] {
    return [...(this.#own.get(uid)?.get(container) ?? [])].sort((a, b) => a - b);
  }

  allocatable(): number[] {
    return this.#given.topology.cpus.map(({ id }) => id).filter((id) => !this.#reserved.has(id));
  }

  #available(): Set<number> {
    return difference(this.#shared, this.#reserved);
  }

  /** Takes back what pods have that are over; told when one ends, and before anything is given. */
  release(): void {
    const active = this.#given.activePods();
    let isLess = false;
    for (const [uid, containers] of this.#own) {
      if (active.has(uid)) continue;
      for (const cpus of containers.values()) for (const cpu of cpus) this.#shared.add(cpu);
      this.#own.delete(uid);
      this.#reusable.delete(uid);
      isLess = true;
    }
    if (isLess) this.#changed();
  }

  allocate(pod: PodView, container: ContainerSpec, affinity: Hint | undefined): void {
    const count = this.#wants(pod, container);
    if (count === 0) return;
    this.release();
    this.#checkCores(count);
    const { uid = "" } = pod.metadata;
    const reusable = this.#reusable.get(uid) ?? new Set<number>();
    this.#reusable.set(uid, reusable);
    let own = this.#own.get(uid)?.get(container.name);
    if (!own) {
      own = new Set();
      const allocatable = new Set([...this.#available(), ...reusable]);
      if (affinity?.nodes !== undefined) {
        const wanted = new Set(nodesIn(affinity.nodes));
        const near = this.#given.topology.cpus.filter(({ id, node }) => wanted.has(node) && allocatable.has(id));
        own = this.#take(new Set(near.map(({ id }) => id)), Math.min(count, near.length));
      }
      for (const cpu of this.#take(difference(allocatable, own), count - own.size)) own.add(cpu);
      this.#shared = difference(this.#shared, own);
      this.#ownOf(uid).set(container.name, own);
      this.#changed();
    }
    const isInit = pod.spec?.initContainers?.some(({ name }) => name === container.name) && !isSidecar(container);
    for (const cpu of own)
      if (isInit) reusable.add(cpu);
      else reusable.delete(cpu);
  }

  #checkCores(count: number): void {
    const { cpusPerCore } = this.#given.topology;
    if (!this.#on.has("full-pcpus-only")) return;
    const free = difference(this.#shared, this.#reservedCores).size;
    if (count % cpusPerCore !== 0)
      throw new AdmissionError(
        "SMTAlignmentError",
        `SMT Alignment Error: requested ${count} cpus not multiple cpus per core = ${cpusPerCore}`,
      );
    if (count > free)
      throw new AdmissionError(
        "SMTAlignmentError",
        `SMT Alignment Error: not enough free physical CPUs: available physical CPUs = ${free}, requested CPUs = ${count}, CPUs per core = ${cpusPerCore}`,
      );
  }

  hints(pod: PodView, container?: ContainerSpec): Hints {
    const { uid = "" } = pod.metadata;
    const all = container ? [container] : [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])];
    const count = container ? this.#wants(pod, container) : this.#wantsTogether(pod);
    if (count === 0) return new Map();
    this.release();
    const assigned = new Set<number>();
    for (const each of all) {
      const own = this.#own.get(uid)?.get(each.name);
      if (own && own.size !== this.#wants(pod, each)) return new Map([["cpu", []]]);
      for (const cpu of own ?? []) assigned.add(cpu);
    }
    if (assigned.size === count) return new Map([["cpu", this.#hintsOf(assigned, new Set(), count)]]);
    const reusable = new Set([...(this.#reusable.get(uid) ?? []), ...assigned]);
    return new Map([["cpu", this.#hintsOf(this.#available(), reusable, count)]]);
  }

  /** Of all containers: sidecars and the others together, or the largest while starting. */
  #wantsTogether(pod: PodView): number {
    let sidecars = 0;
    let peak = 0;
    for (const container of pod.spec?.initContainers ?? []) {
      const count = this.#wants(pod, container);
      if (isSidecar(container)) sidecars += count;
      else peak = Math.max(peak, sidecars + count);
    }
    const sum = (pod.spec?.containers ?? []).reduce((total, each) => total + this.#wants(pod, each), sidecars);
    return Math.max(peak, sum);
  }

  #hintsOf(available: ReadonlySet<number>, reusable: ReadonlySet<number>, count: number): Hint[] {
    const { cpus, nodes } = this.#given.topology;
    let smallest = nodes.length;
    const found = masksOf(nodes).filter((mask) => {
      const within = cpus.filter(({ node }) => (maskOf([node]) & mask) !== 0);
      if (within.length >= count) smallest = Math.min(smallest, countOf(mask));
      const kept = within.filter(({ id }) => reusable.has(id)).length;
      if (kept < reusable.size) return false;
      return kept + within.filter(({ id }) => available.has(id)).length >= count;
    });
    return withPreference(found, smallest);
  }

  #changed(): void {
    void this.#save();
    this.#given.onShared();
  }

  #save(): Promise<void> {
    const { file } = this.#given;
    const write = async () => {
      const entries = Object.fromEntries(
        [...this.#own].map(([uid, of]) => [
          uid,
          Object.fromEntries([...of].map(([name, cpus]) => [name, printCpuSet(cpus)])),
        ]),
      );
      const state = { policyName: "static", defaultCpuSet: printCpuSet(this.#shared), entries };
      const shown = Object.keys(entries).length > 0 ? state : { ...state, entries: undefined };
      await writeFile(`${file}.tmp`, JSON.stringify({ ...shown, checksum: checksumOf(state) }), { mode: 0o600 });
      await rename(`${file}.tmp`, file);
    };
    this.#writing = this.#writing.then(write, write);
    return this.#writing;
  }

  /** Resolves when what is known is on disk. */
  flushed(): Promise<void> {
    return this.#writing;
  }
}

const difference = (a: ReadonlySet<number>, b: ReadonlySet<number>): Set<number> =>
  new Set([...a].filter((one) => !b.has(one)));
