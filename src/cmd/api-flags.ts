/**
 * What an administrator may set of the API server, under upstream's names: one list for every command that runs one
 * (`up`, `apiserver`, `server`). Files are read at the start, so that a mistake in one is told before anything runs.
 */
import type { FlagSpecs, FlagValues, Logger } from "#base";
import { aggregatorFlags, readAggregatorFlags } from "./aggregator-flags.ts";
import { auditFlags, readAuditFlags } from "./audit-flags.ts";
import { encryptionFlags, readEncryptionFlags } from "./encryption-flags.ts";
import { featureGateFlags, readFeatureGates, readRuntimeConfig } from "./feature-gates.ts";
import type { ControlPlaneOptions } from "./control-plane.ts";
import { readSecurityFlags, securityFlags } from "./security-flags.ts";
import { readServiceFlags, serviceFlags } from "./service-flags.ts";
import { readTrafficFlags, trafficFlags } from "./traffic-flags.ts";

export const apiFlags = {
  ...securityFlags,
  ...auditFlags,
  ...encryptionFlags,
  ...aggregatorFlags,
  ...featureGateFlags,
  ...trafficFlags,
  ...serviceFlags,
} as const satisfies FlagSpecs;

export async function readApiFlags(
  values: FlagValues<typeof apiFlags> & { readonly "cluster-domain": string },
  log: Logger,
): Promise<
  Pick<
    ControlPlaneOptions,
    "security" | "audit" | "encryption" | "aggregator" | "features" | "versions" | "traffic" | "services"
  >
> {
  return {
    security: await readSecurityFlags(values, {
      clusterDomain: values["cluster-domain"],
      warn: (text) => log.warn(text),
    }),
    features: readFeatureGates(values["feature-gates"], (text) => log.warn(text)),
    versions: readRuntimeConfig(values["runtime-config"]),
    aggregator: await readAggregatorFlags(values),
    audit: await readAuditFlags(values, (text) => log.warn(text)),
    encryption: await readEncryptionFlags(values),
    traffic: readTrafficFlags(values),
    services: readServiceFlags(values),
  };
}
