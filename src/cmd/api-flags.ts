/**
 * What an administrator may set of the API server, under upstream's names: one list for every command that runs one
 * (`up`, `apiserver`, `server`). Files are read at the start, so that a mistake in one is told before anything runs.
 */
import type { FlagSpecs, FlagValues } from "#base";
import { parseTokenFile } from "#apiserver";
import { readConfigFile } from "./config-file.ts";
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
    staticTokens: (await readConfigFile("token-auth-file", values["token-auth-file"], parseTokenFile)) ?? new Map(),
  };
}
