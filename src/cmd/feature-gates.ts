/** `--feature-gates`, under upstream's names: only those that change something here. */
import { facts } from "#api";
import type { FlagSpecs } from "#base";
import { CommandError } from "./command.ts";

export const featureGateFlags = {
  "feature-gates": {
    type: "strings",
    value: "NAME=BOOL",
    help: "Alpha and beta features: CBORServingAndStorage=true offers application/cbor, AllowUnsafeMalformedObjectDeletion=true deletes objects that can't be read, CoordinatedLeaderElection=true elects among LeaseCandidates, HPAScaleToZero=true lets autoscalers go down to nothing. StorageVersionMigrator=true stores objects anew for StorageVersionMigrations. Others have no effect and are warned about.",
  },
  "runtime-config": {
    type: "strings",
    value: "GROUP/VERSION=BOOL",
    help: "Versions of the API that are served, or not, other than by default: coordination.k8s.io/v1beta1=true, storagemigration.k8s.io/v1beta1=true.",
  },
} as const satisfies FlagSpecs;

export interface FeatureGates {
  readonly cbor: boolean;
  readonly unsafeDeletion: boolean;
  readonly coordinatedElection: boolean;
  readonly scaleToZero: boolean;
  readonly storageVersionMigration: boolean;
}

const gateNames: Readonly<Record<string, keyof FeatureGates>> = {
  CBORServingAndStorage: "cbor",
  AllowUnsafeMalformedObjectDeletion: "unsafeDeletion",
  CoordinatedLeaderElection: "coordinatedElection",
  HPAScaleToZero: "scaleToZero",
  StorageVersionMigrator: "storageVersionMigration",
};

/** As Go's strconv.ParseBool. */
const booleans = new Map<string, boolean>([
  ...["1", "t", "T", "TRUE", "true", "True"].map((text) => [text, true] as const),
  ...["0", "f", "F", "FALSE", "false", "False"].map((text) => [text, false] as const),
]);

export function readFeatureGates(gates: readonly string[], warn: (text: string) => void): FeatureGates {
  const found = {
    cbor: false,
    unsafeDeletion: false,
    coordinatedElection: false,
    scaleToZero: false,
    storageVersionMigration: false,
  };
  for (const gate of gates) {
    const [name, value] = readPair("feature-gates", gate);
    const key = Object.hasOwn(gateNames, name) && gateNames[name];
    if (key) found[key] = value;
    else warn(`--feature-gates: ${name} has no effect here`);
  }
  return found;
}

function readPair(flag: string, pair: string): [name: string, value: boolean] {
  const [name = "", text] = pair.split("=", 2).map((part) => part.trim());
  if (text === undefined) throw new CommandError(`--${flag}: missing bool value for ${name}; expected NAME=true`);
  const value = booleans.get(text);
  if (value === undefined) throw new CommandError(`--${flag}: invalid value of ${name}=${text}; expected a bool`);
  return [name, value];
}

/** Which versions are served, or not, other than by default. */
export function readRuntimeConfig(pairs: readonly string[]): ReadonlyMap<string, boolean> {
  const known = new Set(facts.groupVersions().map(({ groupVersion }) => groupVersion));
  return new Map(
    pairs.map((pair) => {
      const [name, value] = readPair("runtime-config", pair.includes("=") ? pair : `${pair}=true`);
      if (!known.has(name)) throw new CommandError(`--runtime-config: unknown api version ${name}`);
      return [name, value];
    }),
  );
}
