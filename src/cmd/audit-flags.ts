/** The flags of the audit log, as upstream has them: twelve for each of the two backends, made from one table. */
import {
  type AuditDelivery,
  type AuditOptions,
  parseAuditPolicy,
  type PostAudit,
  validateAuditOptions,
} from "#apiserver";
import type { FlagSpecs, FlagValues } from "#base";
import { createHttpsTransport, kubeconfigTarget, readKubeconfig } from "#client";
import { CommandError } from "./command.ts";
import { readConfigFile } from "./config-file.ts";

/** As upstream's clients of webhooks. */
const postMsMax = 30_000;
const groupVersion = "audit.k8s.io/v1";

const deliveryFlags = {
  mode: {
    type: "string",
    default: "batch",
    value: "MODE",
    help: "How entries leave: batch, blocking or blocking-strict (a request whose entry is lost fails).",
  },
  "batch-buffer-size": {
    type: "int",
    default: 10_000,
    help: "Entries that wait at most; more are dropped. In batch mode.",
  },
  "batch-max-size": { type: "int", default: 400, help: "Entries of a batch at most." },
  "batch-max-wait": {
    type: "duration",
    default: 30_000,
    value: "TIME",
    help: "After this long a batch leaves even if it isn't full.",
  },
  "batch-throttle-enable": { type: "bool", default: true as boolean, help: "Bound batches by rate." },
  "batch-throttle-qps": { type: "string", default: "10", value: "RATE", help: "Batches a second." },
  "batch-throttle-burst": { type: "int", default: 15, help: "Batches at once after a pause." },
  "truncate-enabled": { type: "bool", help: "Bound entries and batches by size." },
  "truncate-max-batch-size": {
    type: "int",
    default: 10 * 1024 * 1024,
    help: "Bytes of a batch; larger ones are split.",
  },
  "truncate-max-event-size": {
    type: "int",
    default: 100 * 1024,
    help: "Bytes of an entry; larger ones lose their bodies, then are dropped.",
  },
  version: { type: "string", default: groupVersion, value: "VERSION", help: "Form of entries." },
} as const satisfies FlagSpecs;

type DeliveryFlags<P extends string> = {
  readonly [K in keyof typeof deliveryFlags as `audit-${P}-${K}`]: (typeof deliveryFlags)[K];
};

function flagsOf<P extends string>(plugin: P, defaults: Readonly<Record<string, unknown>> = {}): DeliveryFlags<P> {
  const flags = Object.entries(deliveryFlags).map(([name, spec]) => [
    `audit-${plugin}-${name}`,
    name in defaults ? { ...spec, default: defaults[name] } : spec,
  ]);
  return Object.fromEntries(flags) as DeliveryFlags<P>; // made like that above
}

/** Lines of a file gain nothing by being collected. */
const logDefaults = { mode: "blocking", "batch-max-size": 1, "batch-max-wait": 0, "batch-throttle-enable": false };

export const auditFlags = {
  "audit-policy-file": {
    type: "string",
    value: "FILE",
    help: "Which requests are written down, and how much of each.",
  },
  "audit-log-path": { type: "string", value: "FILE", help: "Where to: a file, or - for the standard output." },
  "audit-log-format": { type: "string", default: "json", value: "FORMAT", help: "json or legacy." },
  "audit-log-maxage": { type: "int", default: 366, value: "DAYS", help: "How long old files stay; 0: for ever." },
  "audit-log-maxbackup": { type: "int", default: 100, value: "N", help: "Old files kept; 0: all." },
  "audit-log-maxsize": { type: "int", default: 100, value: "MB", help: "Size of a file; 0: grows for ever." },
  "audit-log-compress": { type: "bool", help: "Compress old files." },
  "audit-webhook-config-file": { type: "string", value: "FILE", help: "Where to: a webhook, as a kubeconfig." },
  "audit-webhook-initial-backoff": {
    type: "duration",
    default: 10_000,
    value: "TIME",
    help: "Pause before a failed batch is tried again.",
  },
  ...flagsOf("log", logDefaults),
  ...flagsOf("webhook"),
} as const satisfies FlagSpecs;

/** Undefined: no audit log. */
export async function readAuditFlags(
  values: FlagValues<typeof auditFlags>,
  warn: (text: string) => void,
): Promise<AuditOptions | undefined> {
  const path = values["audit-log-path"];
  const webhook = values["audit-webhook-config-file"];
  if (!path && !webhook && !values["audit-policy-file"]) return undefined;
  const options: AuditOptions = {
    policy: await readConfigFile("audit-policy-file", values["audit-policy-file"], (text) =>
      parseAuditPolicy(text, warn),
    ),
    log: path
      ? {
          ...delivery(values, "log"),
          path,
          maxAgeDays: values["audit-log-maxage"],
          maxBackups: values["audit-log-maxbackup"],
          maxSizeMegabytes: values["audit-log-maxsize"],
          format: values["audit-log-format"],
          compress: values["audit-log-compress"],
        }
      : undefined,
    webhook: webhook
      ? {
          ...delivery(values, "webhook"),
          post: await postTo(webhook),
          initialBackoffMs: values["audit-webhook-initial-backoff"],
        }
      : undefined,
  };
  const complaints = validateAuditOptions(options);
  if (complaints.length > 0) throw new CommandError(complaints.join("\n"));
  return options;
}

function delivery(values: FlagValues<typeof auditFlags>, plugin: "log" | "webhook"): AuditDelivery {
  return {
    mode: values[`audit-${plugin}-mode`],
    batchBufferSize: values[`audit-${plugin}-batch-buffer-size`],
    batchMaxSize: values[`audit-${plugin}-batch-max-size`],
    batchMaxWaitMs: values[`audit-${plugin}-batch-max-wait`],
    batchThrottleEnable: values[`audit-${plugin}-batch-throttle-enable`],
    batchThrottleQps: Number(values[`audit-${plugin}-batch-throttle-qps`]),
    batchThrottleBurst: values[`audit-${plugin}-batch-throttle-burst`],
    truncateEnabled: values[`audit-${plugin}-truncate-enabled`],
    truncateMaxBatchSize: values[`audit-${plugin}-truncate-max-batch-size`],
    truncateMaxEventSize: values[`audit-${plugin}-truncate-max-event-size`],
    version: values[`audit-${plugin}-version`],
  };
}

async function postTo(file: string): Promise<PostAudit> {
  try {
    const { transport } = await kubeconfigTarget(await readKubeconfig([file], { mustExist: true }));
    const client = createHttpsTransport({ ...transport, userAgent: "kube-apiserver" });
    const path = new URL(transport.server).pathname === "/" ? "/" : "";
    return async (body) => {
      const signal = AbortSignal.timeout(postMsMax);
      await client.request({ method: "POST", path, body: Buffer.from(body), signal });
    };
  } catch (error) {
    throw new CommandError(`--audit-webhook-config-file ${file}: ${(error as Error).message}`); // of a file or of what is in it
  }
}
