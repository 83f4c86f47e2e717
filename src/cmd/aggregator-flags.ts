/** How the server stands in front of extension servers (API services), under upstream's names. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import type { KeyPair } from "#apiserver";
import type { FlagSpecs, FlagValues } from "#base";
import { CommandError } from "./command.ts";
import { readConfigFile } from "./config-file.ts";

export const aggregatorFlags = {
  "enable-aggregator-routing": {
    type: "bool",
    help: "Reach extension servers by their endpoints instead of the cluster address of their Service: for machines without a service proxy.",
  },
  "proxy-client-cert-file": {
    type: "string",
    value: "FILE",
    help: "Certificate shown to extension servers, which believe its owner when it says who asks; without it one is made.",
  },
  "proxy-client-key-file": { type: "string", value: "FILE", help: "Key of --proxy-client-cert-file." },
} as const satisfies FlagSpecs;

export interface AggregatorSettings {
  readonly byEndpoints: boolean;
  /** Undefined: the one of our own. */
  readonly client: KeyPair | undefined;
}

export async function readAggregatorFlags(values: FlagValues<typeof aggregatorFlags>): Promise<AggregatorSettings> {
  const byEndpoints = values["enable-aggregator-routing"];
  const certificate = await readConfigFile("proxy-client-cert-file", values["proxy-client-cert-file"], (text) => {
    void new X509Certificate(text);
    return text;
  });
  const key = await readConfigFile("proxy-client-key-file", values["proxy-client-key-file"], (text) => {
    createPrivateKey(text);
    return text;
  });
  if ((certificate === undefined) !== (key === undefined))
    throw new CommandError("--proxy-client-cert-file and --proxy-client-key-file go together; give both or neither");
  return { byEndpoints, client: certificate !== undefined && key !== undefined ? { certificate, key } : undefined };
}
