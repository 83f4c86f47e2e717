/** One entry of the audit log: its levels and stages, and how it is written. Follows audit.k8s.io/v1. */
import type { RequestUser } from "#api";
import { goQuote, type Status } from "#machinery";

/** From nothing to everything. */
export const levels = ["None", "Metadata", "Request", "RequestResponse"] as const;
export type Level = (typeof levels)[number];

export const stages = ["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"] as const;
export type Stage = (typeof stages)[number];

export interface ObjectReference {
  resource?: string;
  namespace?: string;
  name?: string;
  uid?: string;
  apiGroup?: string;
  apiVersion?: string;
  resourceVersion?: string;
  subresource?: string;
}

/** What is known of a request so far. The order is that of the written form. */
export interface AuditEvent {
  level: Level;
  auditID: string;
  stage: Stage;
  requestURI: string;
  verb: string;
  user: UserInfo;
  impersonatedUser: UserInfo | undefined;
  authenticationMetadata: { readonly impersonationConstraint: string } | undefined;
  sourceIPs: readonly string[];
  userAgent: string;
  objectRef: ObjectReference | undefined;
  responseStatus: Partial<Pick<Status, "status" | "message" | "reason" | "details" | "code">> | undefined;
  /** JSON text. */
  requestObject: string | undefined;
  /** JSON text. */
  responseObject: string | undefined;
  /** Milliseconds since the epoch. */
  requestReceivedTimestamp: number;
  stageTimestamp: number;
  annotations: Record<string, string> | undefined;
}

export interface UserInfo {
  readonly username?: string;
  readonly uid?: string;
  readonly groups?: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

export const userInfo = ({ name, uid, groups, extra }: RequestUser): UserInfo => ({
  username: name,
  ...(uid !== "" && { uid }),
  ...(groups.length > 0 && { groups }),
  ...(Object.keys(extra).length > 0 && { extra }),
});

const head = '{"kind":"Event","apiVersion":"audit.k8s.io/v1",';

/** `listed`: as an item of an EventList, which says for all what they are. */
export function encodeEvent(event: AuditEvent, { listed = false } = {}): string {
  const { level, auditID, stage, requestURI, verb, user, impersonatedUser, sourceIPs, userAgent } = event;
  const { authenticationMetadata } = event;
  const { objectRef, responseStatus, requestObject, responseObject, annotations } = event;
  const first = JSON.stringify({
    level,
    auditID,
    stage,
    requestURI,
    verb,
    user,
    impersonatedUser,
    authenticationMetadata,
    sourceIPs: sourceIPs.length > 0 ? sourceIPs : undefined,
    userAgent: userAgent || undefined,
    objectRef,
    responseStatus: responseStatus && { metadata: {}, ...responseStatus },
  });
  // Bodies are JSON already; they are not parsed to be printed again.
  const bodies =
    (requestObject === undefined ? "" : `,"requestObject":${requestObject}`) +
    (responseObject === undefined ? "" : `,"responseObject":${responseObject}`);
  const last = JSON.stringify({
    requestReceivedTimestamp: printMicroTime(event.requestReceivedTimestamp),
    stageTimestamp: printMicroTime(event.stageTimestamp),
    annotations: annotations && Object.fromEntries(Object.entries(annotations).sort(([a], [b]) => (a < b ? -1 : 1))),
  });
  return `${listed ? "{" : head}${first.slice(1, -1)}${bodies},${last.slice(1)}`;
}

const printMicroTime = (ms: number): string => `${new Date(ms).toISOString().slice(0, -1)}000Z`;

/** The format of old: one line of text. */
export function printLegacy(event: AuditEvent): string {
  const { user, impersonatedUser, objectRef, responseStatus } = event;
  const list = (texts: readonly string[]) => texts.map(goQuote).join(",");
  const fields: [string, string][] = [
    ["id", event.auditID],
    ["stage", event.stage],
    ["ip", event.sourceIPs[0] ?? "<unknown>"],
    ["method", event.verb],
    ["user", user.username || "<none>"],
    ["groups", user.username && user.groups ? list(user.groups) : "<none>"],
    ["as", impersonatedUser ? (impersonatedUser.username ?? "") : "<self>"],
    ["asgroups", impersonatedUser?.groups ? list(impersonatedUser.groups) : "<lookup>"],
    ["user-agent", event.userAgent],
    ["namespace", objectRef?.namespace || "<none>"],
    ["uri", event.requestURI],
    ["response", responseStatus ? String(responseStatus.code ?? 0) : "<deferred>"],
  ];
  const time = new Date(event.requestReceivedTimestamp).toISOString().replace(/\.?0*Z$/, "Z");
  return `${time} AUDIT: ${fields.map(([name, value]) => `${name}=${goQuote(value)}`).join(" ")}`;
}
