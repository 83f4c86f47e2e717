/**
 * What the audit log learns of one request on its way: made when it comes in, told who asks and what, and written at each stage that the
 * policy wants. Upstream's audit context. A server without a policy makes none, and then the rest costs a comparison with undefined.
 */
import type { Clock } from "#base";
import type { RequestUser } from "#api";
import type { DeepReadonly, KubernetesObject, Status } from "#machinery";
import { type AuditEvent, type Level, levels, type Stage, userInfo } from "./event.ts";
import type { AuditedAttributes, AuditPolicy } from "./policy.ts";

/** As upstream: an agent that calls itself by a novel is cut. */
const userAgentBytesMax = 1_024;

export interface AuditedRequest {
  readonly auditId: string;
  readonly requestUri: string;
  readonly userAgent: string;
  readonly sourceIPs: () => readonly string[];
}

/** Where the events of a request go: the auditor. */
interface AuditLog {
  readonly policy: AuditPolicy;
  readonly clock: Clock;
  readonly counters: { rejected: number; level(level: Level): void };
  take(event: AuditEvent): boolean | Promise<boolean>;
  /** Nobody waits for this one but the end of the server. */
  follow(result: boolean | Promise<boolean>): void;
}

/** Whoever has something to say about a request and doesn't care whether anyone listens. */
export interface Annotations {
  /** The first value of a key stays. */
  annotate(key: string, value: string): void;
}

export class RequestAudit implements Annotations {
  readonly #auditor: AuditLog;
  readonly #request: AuditedRequest;
  readonly #receivedAt: number;
  /** Of the time before it is known whether anyone wants them. */
  #annotations: Record<string, string> | undefined;
  #event: AuditEvent | undefined;
  #omitStages: ReadonlySet<Stage> = new Set();
  #omitManagedFields = false;
  #phase: "open" | "refused" | "over" = "open";
  #longRunning = false;
  #started = false;

  constructor(auditor: AuditLog, request: AuditedRequest) {
    this.#auditor = auditor;
    this.#request = request;
    this.#receivedAt = auditor.clock.now();
  }

  /** It is now known who asks for what. Without a user nobody could tell who it is. False: the request must not go on. */
  received(attributes: AuditedAttributes, { longRunning }: { longRunning: boolean }): boolean | Promise<boolean> {
    const verdict = this.#auditor.policy.verdictOn(attributes);
    this.#auditor.counters.level(verdict.level);
    if (verdict.level === "None") {
      this.#phase = "over";
      return true;
    }
    this.#longRunning = longRunning;
    this.#omitStages = verdict.omitStages;
    this.#omitManagedFields = verdict.omitManagedFields;
    this.#event = this.#eventOf(attributes, verdict.level);
    if (attributes.user) return this.#write("RequestReceived");
    // Refused before it began: upstream writes the start of the answer and nothing else.
    this.#phase = "refused";
    return true;
  }

  #eventOf({ user, verb, resourceRequest, ...at }: AuditedAttributes, level: Level): AuditEvent {
    const { auditId, requestUri, userAgent, sourceIPs } = this.#request;
    const cut = userAgent.length > userAgentBytesMax;
    return {
      level,
      auditID: auditId,
      stage: "RequestReceived",
      requestURI: requestUri,
      verb,
      user: user ? userInfo(user) : {},
      impersonatedUser: undefined,
      authenticationMetadata: undefined,
      sourceIPs: sourceIPs(),
      userAgent: cut ? `${userAgent.slice(0, userAgentBytesMax)}...TRUNCATED` : userAgent,
      objectRef: resourceRequest
        ? {
            ...(at.resource && { resource: at.resource }),
            ...(at.namespace && { namespace: at.namespace }),
            ...(at.name && { name: at.name }),
            ...(at.apiGroup && { apiGroup: at.apiGroup }),
            ...(at.apiVersion && { apiVersion: at.apiVersion }),
            ...(at.subresource && { subresource: at.subresource }),
          }
        : undefined,
      responseStatus: undefined,
      requestObject: undefined,
      responseObject: undefined,
      requestReceivedTimestamp: this.#receivedAt,
      stageTimestamp: this.#receivedAt,
      annotations: this.#annotations,
    };
  }

  annotate(key: string, value: string): void {
    if (this.#phase === "over") return;
    const { annotations } = this;
    if (!Object.hasOwn(annotations, key)) annotations[key] = value;
  }

  /** For those that are long: only from this level on. */
  annotateAt(level: Level, key: string, value: () => string): void {
    if (this.#event && atLeast(this.#event.level, level)) this.annotate(key, value());
  }

  get annotations(): Record<string, string> {
    if (this.#event) {
      this.#event.annotations ??= {};
      return this.#event.annotations;
    }
    this.#annotations ??= {};
    return this.#annotations;
  }

  impersonated(user: RequestUser, constraint?: string): void {
    if (!this.#event) return;
    this.#event.impersonatedUser = userInfo(user);
    if (constraint) this.#event.authenticationMetadata = { impersonationConstraint: constraint };
  }

  /** What a write sends, as it was understood. Said again, the last one counts. */
  requestObject(object: DeepReadonly<KubernetesObject>): void {
    const event = this.#event;
    if (!event) return;
    const { name, namespace, uid, resourceVersion } = object.metadata ?? {};
    const ref = event.objectRef ?? {};
    event.objectRef = ref;
    if (namespace) ref.namespace ??= namespace;
    if (name) ref.name ??= name;
    if (uid) ref.uid ??= uid;
    if (resourceVersion) ref.resourceVersion ??= resourceVersion;
    if (atLeast(event.level, "Request")) event.requestObject = JSON.stringify(this.#trimmed(object));
  }

  requestPatch(body: Buffer): void {
    const event = this.#event;
    if (!event || !atLeast(event.level, "Request")) return;
    const text = body.toString("utf8");
    // Patches in YAML are no JSON; they are kept as a text.
    event.requestObject = isJson(text) ? text : JSON.stringify(text);
  }

  get wantsResponseObject(): boolean {
    return this.#event !== undefined && this.#event.level === "RequestResponse";
  }

  /** JSON of what is answered; asked for only if it is wanted. */
  responseObject(json: string): void {
    if (!this.#event) return;
    this.#event.responseObject = this.#omitManagedFields ? JSON.stringify(this.#trimmed(JSON.parse(json))) : json;
  }

  /** The answer is this: a refusal, or that something is gone. */
  status({ status, message, reason, details, code }: Status): void {
    if (!this.#event) return;
    this.#event.responseStatus = {
      ...(status && { status }),
      ...(message && { message }),
      ...(reason && { reason }),
      ...(details && { details }),
      ...(code !== undefined && { code }),
    };
  }

  /** The answer begins with this code. */
  started(code: number): void {
    const event = this.#event;
    if (!event || this.#started || this.#phase === "over") return;
    this.#started = true;
    event.responseStatus = { ...event.responseStatus, code };
    if (this.#longRunning || this.#phase === "refused") this.#auditor.follow(this.#write("ResponseStarted"));
    if (this.#phase === "refused") this.#phase = "over";
  }

  /** Nothing more will be sent. Called again it does nothing. */
  complete(): boolean | Promise<boolean> {
    const event = this.#event;
    if (!event || this.#phase !== "open") return true;
    if (!event.responseStatus) {
      event.responseStatus = { status: "Success", message: "Connection closed early", code: 200 };
      if (this.#longRunning) this.#auditor.follow(this.#write("ResponseStarted"));
    }
    const result = this.#write("ResponseComplete");
    this.#phase = "over";
    return result;
  }

  /** It couldn't be written that the request came, so it doesn't go on. */
  rejected(): void {
    this.#auditor.counters.rejected++;
    this.#phase = "over";
  }

  /** A fault of the server. */
  panicked(error: unknown): void {
    const event = this.#event;
    if (!event || this.#phase !== "open") return;
    const message = `APIServer panic'd: ${error instanceof Error ? error.message : String(error)}`;
    event.responseStatus = { status: "Failure", message, reason: "InternalError", code: 500 };
    this.#auditor.follow(this.#write("Panic"));
    this.#phase = "over";
  }

  #write(stage: Stage): boolean | Promise<boolean> {
    const event = this.#event;
    if (!event || this.#omitStages.has(stage)) return true;
    event.stage = stage;
    event.stageTimestamp = stage === "RequestReceived" ? this.#receivedAt : this.#auditor.clock.now();
    return this.#auditor.take({
      ...event,
      objectRef: event.objectRef && { ...event.objectRef },
      annotations: event.annotations && { ...event.annotations },
    });
  }

  #trimmed(object: DeepReadonly<KubernetesObject>): unknown {
    if (!this.#omitManagedFields) return object;
    const { items, rows } = object as { items?: readonly object[]; rows?: readonly { object?: object }[] }; // lists and tables
    return {
      ...withoutManaged(object),
      ...(Array.isArray(items) && { items: items.map(withoutManaged) }),
      ...(Array.isArray(rows) && {
        rows: rows.map((row) => (row.object ? { ...row, object: withoutManaged(row.object) } : row)),
      }),
    };
  }
}

const atLeast = (level: Level, wanted: Level): boolean => levels.indexOf(level) >= levels.indexOf(wanted);

function withoutManaged(object: object): object {
  const { metadata } = object as KubernetesObject; // if it is one
  if (!metadata || !("managedFields" in metadata)) return object;
  const { managedFields: _, ...rest } = metadata;
  return { ...object, metadata: rest };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false; // which is the answer
  }
}
