/**
 * What an administrator may set of the API server, under upstream's names: one list for every command that runs one
 * (`up`, `apiserver`, `server`). Files are read at the start, so that a mistake in one is told before anything runs.
 */
import type { FlagSpecs, FlagValues, Logger } from "#base";
import { aggregatorFlags, readAggregatorFlags } from "./aggregator-flags.ts";
import { auditFlags, readAuditFlags } from "./audit-flags.ts";
import { encryptionFlags, readEncryptionFlags } from "./encryption-flags.ts";
import { featureGateFlags, readFeatureGates } from "./feature-gates.ts";
import { parseTokenFile } from "#apiserver";
import { readConfigFile } from "./config-file.ts";
import type { ControlPlaneOptions } from "./control-plane.ts";

export const apiFlags = {
  "token-auth-file": {
    type: "string",
    value: "FILE",
    help: 'Static tokens: CSV lines token,user,uid,"group1,group2".',
  },
  ...auditFlags,
  ...encryptionFlags,
  ...aggregatorFlags,
  ...featureGateFlags,
} as const satisfies FlagSpecs;

export async function readApiFlags(
  values: FlagValues<typeof apiFlags>,
  log: Logger,
): Promise<Pick<ControlPlaneOptions, "staticTokens" | "audit" | "encryption" | "aggregator" | "features">> {
  return {
    staticTokens: (await readConfigFile("token-auth-file", values["token-auth-file"], parseTokenFile)) ?? new Map(),
    features: readFeatureGates(values["feature-gates"], (text) => log.warn(text)),
    aggregator: await readAggregatorFlags(values),
    audit: await readAuditFlags(values, (text) => log.warn(text)),
    encryption: await readEncryptionFlags(values),
  };
}
