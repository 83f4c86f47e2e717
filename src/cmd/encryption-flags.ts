/** The flags of encryption at rest. */
import { type EncryptionConfiguration, parseEncryptionConfiguration } from "#apiserver";
import type { FlagSpecs, FlagValues } from "#base";
import { readConfigFile } from "./config-file.ts";

export const encryptionFlags = {
  "encryption-provider-config": {
    type: "string",
    value: "FILE",
    help: "Which resources are stored encrypted, how, and by which keys.",
  },
  "encryption-provider-config-automatic-reload": {
    type: "bool",
    help: "Read that file again when it changes.",
  },
} as const satisfies FlagSpecs;

export interface EncryptionSettings {
  readonly configuration: EncryptionConfiguration;
  /** The file to follow. */
  readonly follow: { readonly file: string; readonly text: string } | undefined;
}

/** Undefined: nothing is encrypted. */
export async function readEncryptionFlags(
  values: FlagValues<typeof encryptionFlags>,
): Promise<EncryptionSettings | undefined> {
  const file = values["encryption-provider-config"];
  const reload = values["encryption-provider-config-automatic-reload"];
  return readConfigFile("encryption-provider-config", file, async (text) => ({
    configuration: await parseEncryptionConfiguration(text, { reload }),
    follow: reload && file ? { file, text } : undefined,
  }));
}
