/**
 * What an administrator may set of the API server, under upstream's names: one list for every command that runs one
 * (`up`, `apiserver`, `server`). Files are read at the start, so that a mistake in one is told before anything runs.
 */
import { readFile } from "node:fs/promises";
import type { FlagSpecs, FlagValues } from "#base";
import { parseTokenFile } from "#apiserver";
import { CommandError } from "./command.ts";
import type { ControlPlaneOptions } from "./control-plane.ts";

export const apiFlags = {
  "token-auth-file": {
    type: "string",
    value: "FILE",
    help: 'Static tokens: CSV lines token,user,uid,"group1,group2".',
  },
} as const satisfies FlagSpecs;

export async function readApiFlags(
  values: FlagValues<typeof apiFlags>,
): Promise<Pick<ControlPlaneOptions, "staticTokens">> {
  return {
    staticTokens: (await readWith("token-auth-file", values["token-auth-file"], parseTokenFile)) ?? new Map(),
  };
}

/** The parsed file of a flag; what is wrong with it names the flag and the file. */
async function readWith<T>(
  flag: keyof typeof apiFlags,
  file: string | undefined,
  parse: (text: string) => T,
): Promise<T | undefined> {
  if (!file) return undefined;
  try {
    return parse(await readFile(file, "utf8"));
  } catch (error) {
    throw new CommandError(`--${flag} ${file}: ${(error as Error).message}`);
  }
}
