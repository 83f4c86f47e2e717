/** The audit log of a server: its policy, where events go, and what has to be waited for before it may close. */
import type { Clock, Logger } from "#base";
import type { AuditSink, OnLost } from "./backend.ts";
import { type AuditEvent, encodeEvent, type Level } from "./event.ts";
import type { AuditPolicy } from "./policy.ts";
import { type AuditedRequest, RequestAudit } from "./request-audit.ts";

export interface AuditorOptions {
  readonly policy: AuditPolicy;
  /** Made with what the auditor gives it. */
  readonly sink: (onLost: OnLost) => AuditSink;
  readonly clock: Clock;
  readonly log: Logger;
}

/** For metrics, under upstream's names. */
export interface AuditCounters {
  /** apiserver_audit_event_total */
  events: number;
  /** apiserver_audit_requests_rejected_total */
  rejected: number;
  /** apiserver_audit_error_total, by plugin. */
  readonly errors: Map<string, number>;
  /** apiserver_audit_level_total */
  readonly levels: Map<Level, number>;
  level(level: Level): void;
}

export class Auditor {
  readonly policy: AuditPolicy;
  readonly clock: Clock;
  readonly counters: AuditCounters = {
    events: 0,
    rejected: 0,
    errors: new Map(),
    levels: new Map(),
    level(level) {
      this.levels.set(level, (this.levels.get(level) ?? 0) + 1);
    },
  };
  readonly #sink: AuditSink;
  readonly #log: Logger;
  readonly #following = new Set<Promise<unknown>>();

  constructor({ policy, sink, clock, log }: AuditorOptions) {
    this.policy = policy;
    this.clock = clock;
    this.#log = log;
    this.#sink = sink((plugin, why, events) => this.#lost(plugin, why, events));
  }

  begin(request: AuditedRequest): RequestAudit {
    return new RequestAudit(this, request);
  }

  take(event: AuditEvent): boolean | Promise<boolean> {
    this.counters.events++;
    return this.#sink.take([event]);
  }

  /** Nobody waits for this one but the end of the server. */
  follow(result: boolean | Promise<boolean>): void {
    if (!(result instanceof Promise)) return;
    this.#following.add(result);
    void result.finally(() => this.#following.delete(result));
  }

  /** After the last request: no entry is lost. */
  async close(): Promise<void> {
    this.#sink.hurry?.();
    await Promise.all(this.#following);
    await this.#sink.close();
  }

  #lost(plugin: string, why: string, events: readonly AuditEvent[]): void {
    const { errors } = this.counters;
    errors.set(plugin, (errors.get(plugin) ?? 0) + events.length);
    // What the log should have had must be somewhere; bodies may be secret and stay away.
    const entries = events.map((event) =>
      encodeEvent({ ...event, requestObject: undefined, responseObject: undefined }, { listed: true }),
    );
    this.#log.error("audit events were lost", { plugin, why, events: entries.join(" ") });
  }
}
