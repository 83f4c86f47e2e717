/** `--feature-gates`, under upstream's names: only those that change something here. */
import type { FlagSpecs } from "#base";
import { CommandError } from "./command.ts";

export const featureGateFlags = {
  "feature-gates": {
    type: "strings",
    value: "NAME=BOOL",
    help: "Alpha and beta features: CBORServingAndStorage=true offers application/cbor, AllowUnsafeMalformedObjectDeletion=true deletes objects that can't be read. Others have no effect and are warned about.",
  },
} as const satisfies FlagSpecs;

export interface FeatureGates {
  readonly cbor: boolean;
  readonly unsafeDeletion: boolean;
}

/** As Go's strconv.ParseBool. */
const booleans = new Map<string, boolean>([
  ...["1", "t", "T", "TRUE", "true", "True"].map((text) => [text, true] as const),
  ...["0", "f", "F", "FALSE", "false", "False"].map((text) => [text, false] as const),
]);

export function readFeatureGates(gates: readonly string[], warn: (text: string) => void): FeatureGates {
  let cbor = false;
  let unsafeDeletion = false;
  for (const gate of gates) {
    const [name = "", text] = gate.split("=", 2).map((part) => part.trim());
    if (text === undefined)
      throw new CommandError(`--feature-gates: missing bool value for ${name}; expected NAME=true`);
    const value = booleans.get(text);
    if (value === undefined)
      throw new CommandError(`--feature-gates: invalid value of ${name}=${text}; expected a bool`);
    if (name === "CBORServingAndStorage") cbor = value;
    else if (name === "AllowUnsafeMalformedObjectDeletion") unsafeDeletion = value;
    else warn(`--feature-gates: ${name} has no effect here`);
  }
  return { cbor, unsafeDeletion };
}
