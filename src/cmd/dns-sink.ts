/** `sampan dns --sink etcd`: records for other DNS servers instead of answers. */
import type { FlagSpecs, FlagValues } from "#base";
import { realClock } from "#base";
import { createEtcd, runSink } from "#dns";
import { CommandError } from "./command.ts";
import { readConfigFile } from "./config-file.ts";
import { list, text } from "./flag-spec.ts";
import type { PartContext } from "./part.ts";

export const sinkFlags = {
  sink: {
    ...{ type: "string", choices: ["etcd"], value: "WHERE" },
    help: "Answer nobody; keep the records in etcd, as SkyDNS and CoreDNS' etcd plugin read them.",
  },
  "etcd-endpoints": list("URL", "Of --sink etcd (default: http://127.0.0.1:2379)."),
  "etcd-prefix": { type: "string", default: "/skydns", value: "PATH", help: "What keys begin with." },
  "etcd-cafile": text("FILE", "Signs etcd's certificate."),
  "etcd-certfile": text("FILE", "Certificate for etcd."),
  "etcd-keyfile": text("FILE", "Its key."),
} as const satisfies FlagSpecs;
export type SinkValues = FlagValues<typeof sinkFlags>;

export async function createSink(values: SinkValues, domains: readonly string[]) {
  const endpoints = values["etcd-endpoints"].length > 0 ? values["etcd-endpoints"] : ["http://127.0.0.1:2379"];
  for (const endpoint of endpoints)
    if (!/^https?:$/.test(URL.parse(endpoint)?.protocol ?? ""))
      throw new CommandError(`--etcd-endpoints: want http://HOST:PORT or https://HOST:PORT, have "${endpoint}"`);
  const prefix = values["etcd-prefix"].replace(/\/$/, "");
  if (!/^(\/[\w.-]+)+$/.test(prefix)) throw new CommandError(`--etcd-prefix: want a path, have "${prefix}"`);
  const pem = (flag: "etcd-cafile" | "etcd-certfile" | "etcd-keyfile") =>
    readConfigFile(flag, values[flag], (content) => content);
  const [ca, cert, key] = await Promise.all([pem("etcd-cafile"), pem("etcd-certfile"), pem("etcd-keyfile")]);
  const tls = {
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  };
  return async ({ informers, log, signal }: PartContext): Promise<void> => {
    const etcd = createEtcd({ endpoints, tls });
    await runSink({ informers, etcd, domains, prefix, clock: realClock, log }, signal);
    etcd.close();
  };
}
