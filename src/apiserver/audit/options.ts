/** What an administrator may set of the audit log, with upstream's defaults and complaints, and the auditor that follows from it. */
import type { Clock, Logger } from "#base";
import { goQuote } from "#machinery";
import { Auditor } from "./auditor.ts";
import { type AuditSink, ignoringErrors, type OnLost, unionSink } from "./backend.ts";
import { bufferedSink } from "./buffer.ts";
import { openLogFile } from "./log-file.ts";
import { type LogFormat, logSink } from "./log-sink.ts";
import type { AuditPolicy } from "./policy.ts";
import { truncatingSink } from "./truncate.ts";
import { type PostAudit, webhookSink } from "./webhook-sink.ts";

export const auditModes = ["batch", "blocking", "blocking-strict"] as const;
const formats: readonly string[] = ["legacy", "json"];
const groupVersion = "audit.k8s.io/v1";
const dayMs = 24 * 3600 * 1000;

/** Of one backend. */
export interface AuditDelivery {
  readonly mode: string;
  readonly batchBufferSize: number;
  readonly batchMaxSize: number;
  readonly batchMaxWaitMs: number;
  readonly batchThrottleEnable: boolean;
  readonly batchThrottleQps: number;
  readonly batchThrottleBurst: number;
  readonly truncateEnabled: boolean;
  readonly truncateMaxBatchSize: number;
  readonly truncateMaxEventSize: number;
  readonly version: string;
}

export interface AuditLogOptions extends AuditDelivery {
  /** `-`: the standard output. */
  readonly path: string;
  readonly maxAgeDays: number;
  readonly maxBackups: number;
  readonly maxSizeMegabytes: number;
  readonly format: string;
  readonly compress: boolean;
}

export interface AuditWebhookOptions extends AuditDelivery {
  readonly post: PostAudit;
  readonly initialBackoffMs: number;
}

export interface AuditOptions {
  /** Without one nothing is written down. */
  readonly policy: AuditPolicy | undefined;
  readonly log: AuditLogOptions | undefined;
  readonly webhook: AuditWebhookOptions | undefined;
}

export interface AuditContext {
  readonly clock: Clock;
  readonly log: Logger;
  readonly stdout: (text: string) => void;
}

/** What is wrong with them, in upstream's words. */
export function validateAuditOptions({ log, webhook }: Pick<AuditOptions, "log" | "webhook">): string[] {
  const complaints: string[] = [];
  if (log) {
    complaints.push(...validateDelivery("log", log));
    if (!formats.includes(log.format))
      complaints.push(`invalid audit log format ${log.format}, allowed formats are ${goQuote(formats.join(","))}`);
    for (const [flag, value] of [
      ["maxage", log.maxAgeDays],
      ["maxbackup", log.maxBackups],
      ["maxsize", log.maxSizeMegabytes],
    ] as const)
      if (value < 0) complaints.push(`--audit-log-${flag} ${value} can't be a negative number`);
  }
  if (webhook) complaints.push(...validateDelivery("webhook", webhook));
  return complaints;
}

function validateDelivery(plugin: string, delivery: AuditDelivery): string[] {
  const { truncateMaxEventSize: eventSize, truncateMaxBatchSize: batchSize, version } = delivery;
  const complaints: string[] = [];
  const batch = validateBatch(plugin, delivery);
  if (batch) complaints.push(batch);
  if (eventSize <= 0)
    complaints.push(`invalid audit truncate ${plugin} max event size ${eventSize}, must be a positive number`);
  else if (batchSize < eventSize)
    complaints.push(
      `invalid audit truncate ${plugin} max batch size ${batchSize}, must be greater than max event size (${eventSize})`,
    );
  if (version !== groupVersion)
    complaints.push(`invalid group version, allowed versions are [${goQuote(groupVersion)}]`);
  return complaints;
}

function validateBatch(plugin: string, delivery: AuditDelivery): string | undefined {
  const { mode } = delivery;
  if (!(auditModes as readonly string[]).includes(mode))
    return `invalid audit ${plugin} mode ${mode}, allowed modes are ${goQuote(auditModes.join(","))}`;
  if (mode !== "batch") return undefined;
  const positive = (what: string, value: number) =>
    value <= 0 ? `invalid audit batch ${plugin} ${what} ${value}, must be a positive number` : undefined;
  return (
    positive("buffer size", delivery.batchBufferSize) ??
    positive("max batch size", delivery.batchMaxSize) ??
    (delivery.batchThrottleEnable
      ? (positive("throttle QPS", delivery.batchThrottleQps) ?? positive("throttle burst", delivery.batchThrottleBurst))
      : undefined)
  );
}

/** Undefined: there is nothing to write, or nowhere. Throws when the log can't be opened. */
export function createAuditor(options: AuditOptions, context: AuditContext): Auditor | undefined {
  const { log, clock } = context;
  const { policy } = options;
  if (!policy || (!options.log && !options.webhook)) return undefined;
  const writer = options.log && openWriter(options.log, context);
  return new Auditor({
    policy,
    clock,
    log,
    sink: (onLost) =>
      unionSink([
        ...(options.log && writer
          ? [
              deliver(
                logSink(writer, options.log.format as LogFormat, onLost), // validated
                options.log,
                { parallel: false, clock, onLost },
              ),
            ]
          : []),
        ...(options.webhook
          ? [
              deliver(webhookSink({ ...options.webhook, clock, onLost }), options.webhook, {
                parallel: true,
                clock,
                onLost,
              }),
            ]
          : []),
      ]),
  });
}

function openWriter(
  { path, maxAgeDays, maxBackups, maxSizeMegabytes, compress }: AuditLogOptions,
  context: AuditContext,
) {
  if (path === "-") return { write: context.stdout, close: async () => undefined };
  return openLogFile({
    file: path,
    bytesMax: maxSizeMegabytes * 1024 * 1024,
    backupsMax: maxBackups,
    ageMsMax: maxAgeDays * dayMs,
    compress,
    ...context,
  });
}

interface Delivering {
  readonly parallel: boolean;
  readonly clock: Clock;
  readonly onLost: OnLost;
}

function deliver(sink: AuditSink, delivery: AuditDelivery, { parallel, clock, onLost }: Delivering): AuditSink {
  const waited = waitFor(sink, delivery, { parallel, clock, onLost });
  if (!delivery.truncateEnabled) return waited;
  const bounds = { eventBytesMax: delivery.truncateMaxEventSize, batchBytesMax: delivery.truncateMaxBatchSize };
  return truncatingSink(waited, bounds, onLost);
}

function waitFor(sink: AuditSink, delivery: AuditDelivery, { parallel, clock, onLost }: Delivering): AuditSink {
  if (delivery.mode === "blocking-strict") return sink;
  if (delivery.mode === "blocking") return ignoringErrors(sink);
  return bufferedSink(
    sink,
    {
      bufferEventsMax: delivery.batchBufferSize,
      batchEventsMax: delivery.batchMaxSize,
      batchWaitMs: delivery.batchMaxWaitMs,
      throttle: delivery.batchThrottleEnable
        ? { perSecond: delivery.batchThrottleQps, burst: delivery.batchThrottleBurst }
        : undefined,
      parallel,
    },
    { clock, onLost },
  );
}
