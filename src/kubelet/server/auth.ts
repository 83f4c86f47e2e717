/**
 * Who may use the node's server. As upstream's webhook mode: a client certificate of the cluster's authority or a bearer token that the API
 * server knows, then the API server's word on `nodes/proxy` and its finer relatives. `system:masters` may do everything there anyway,
 * so nobody is asked about them.
 */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";
import type { SubjectAccessReview, TokenReview, UserInfo } from "#api";
import type { Clock } from "#base";
import type { Client } from "#client";
import type { KubeletConfiguration } from "../config/configuration.ts";

export interface KubeletUser {
  readonly name: string;
  readonly uid: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

export interface KubeletAccess {
  readonly verb: string;
  /** Of `nodes`. */
  readonly subresource: string;
}

export interface KubeletAuth {
  /** Undefined: nobody knows. */
  authenticate(request: IncomingMessage): Promise<KubeletUser | undefined>;
  authorize(user: KubeletUser, access: KubeletAccess): Promise<boolean>;
}

/** Callers are few (API server, metrics): more answers than this are somebody trying. */
const answersMax = 1_000;

const mastersGroup = "system:masters";

export interface NodeAuthOptions {
  readonly client: Client;
  readonly nodeName: string;
  readonly config: Pick<KubeletConfiguration, "authentication" | "authorization">;
  readonly clock: Clock;
}

const anonymous: KubeletUser = { name: "system:anonymous", uid: "", groups: ["system:unauthenticated"], extra: {} };
const authenticatedGroup = "system:authenticated";

export function createNodeAuth({ client, nodeName, config, clock }: NodeAuthOptions): KubeletAuth {
  const { webhook, anonymous: nobody } = config.authentication;
  const { cacheAuthorizedTTL: allowedMs, cacheUnauthorizedTTL: deniedMs } = config.authorization.webhook;
  const users = answerCache<KubeletUser | undefined>(clock);
  const decisions = answerCache<boolean>(clock);

  async function review(token: string): Promise<KubeletUser | undefined> {
    const question: TokenReview = {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenReview",
      metadata: {},
      spec: { token },
    };
    const { status } = await client.resource("authentication.k8s.io/v1/tokenreviews").create(question);
    return status?.authenticated && status.user ? userOf(status.user) : undefined;
  }

  async function ask(user: KubeletUser, verb: string, subresource: string): Promise<boolean> {
    const question: SubjectAccessReview = {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SubjectAccessReview",
      metadata: {},
      spec: {
        user: user.name,
        uid: user.uid,
        groups: [...user.groups],
        extra: Object.fromEntries(Object.entries(user.extra).map(([key, values]) => [key, [...values]])),
        resourceAttributes: { verb, group: "", version: "v1", resource: "nodes", subresource, name: nodeName },
      },
    };
    const { status } = await client.resource("authorization.k8s.io/v1/subjectaccessreviews").create(question);
    return status?.allowed === true;
  }

  return {
    async authenticate(request) {
      const fromCertificate = certificateUser(request.socket as TLSSocket); // the server accepts TLS only
      if (fromCertificate) return fromCertificate;
      const token = tokenOf(request);
      if (!token || !webhook.enabled) return token === undefined && nobody.enabled ? anonymous : undefined;
      const key = createHash("sha256").update(token).digest("base64");
      return users.get(key, async () => ({ value: await review(token), forMs: webhook.cacheTTL }));
    },
    async authorize(user, { verb, subresource }) {
      if (config.authorization.mode === "AlwaysAllow" || user.groups.includes(mastersGroup)) return true;
      const key = JSON.stringify([user.name, user.uid, user.groups, user.extra, verb, subresource]);
      return decisions.get(key, async () => {
        const value = await ask(user, verb, subresource);
        return { value, forMs: value ? allowedMs : deniedMs };
      });
    },
  };
}

/** In the header, or, of a WebSocket that a browser opened, among the protocols. */
function tokenOf({ headers }: IncomingMessage): string | undefined {
  const bearer = /^Bearer +(\S+)$/i.exec(headers.authorization ?? "")?.[1];
  if (bearer) return bearer;
  const protocols = (headers["sec-websocket-protocol"] ?? "").split(",").map((one) => one.trim());
  const encoded = protocols.find((one) => one.startsWith(tokenProtocol))?.slice(tokenProtocol.length);
  return encoded && Buffer.from(encoded, "base64url").toString();
}

const tokenProtocol = "base64url.bearer.authorization.k8s.io.";

/** Of a certificate that the cluster's authority signed: the common name is the user, organizations are groups. */
export function certificateUser(socket: Pick<TLSSocket, "authorized" | "getPeerCertificate">): KubeletUser | undefined {
  if (!socket.authorized) return undefined;
  const { subject } = socket.getPeerCertificate();
  if (!subject?.CN) return undefined;
  const name = [subject.CN].flat()[0] ?? "";
  const groups = subject.O ? [subject.O].flat() : [];
  return { name, uid: "", groups: [...groups, authenticatedGroup], extra: {} };
}

const userOf = ({ username = "", uid = "", groups = [], extra = {} }: UserInfoView): KubeletUser => ({
  name: username,
  uid,
  groups,
  extra,
});

type UserInfoView = {
  readonly [K in keyof UserInfo]: K extends "groups"
    ? readonly string[]
    : K extends "extra"
      ? Readonly<Record<string, readonly string[]>>
      : UserInfo[K];
};

/** Which subresources of `nodes` stand for a path; any of them is enough. */
export function accessOf(
  method: string,
  [first = ""]: readonly string[],
): { verb: string; subresources: readonly string[] } {
  return { verb: verbs[method] ?? "", subresources: subresources[first] ?? ["proxy"] };
}

const verbs: Readonly<Record<string, string>> = {
  POST: "create",
  GET: "get",
  PUT: "update",
  PATCH: "patch",
  DELETE: "delete",
};
const subresources: Readonly<Record<string, readonly string[]>> = {
  stats: ["stats"],
  metrics: ["metrics"],
  logs: ["log"],
  checkpoint: ["checkpoint"],
  statusz: ["statusz"],
  flagz: ["configz"],
  pods: ["pods", "proxy"],
  runningpods: ["pods", "proxy"],
  healthz: ["healthz", "proxy"],
  configz: ["configz", "proxy"],
};

interface Answer<T> {
  readonly value: T;
  readonly forMs: number;
}

/** Answers for a while; a question that failed is asked again. */
function answerCache<T>(clock: Clock) {
  const answers = new Map<string, { until: number; value: T }>();
  return {
    async get(key: string, ask: () => Promise<Answer<T>>): Promise<T> {
      const known = answers.get(key);
      if (known && known.until > clock.now()) return known.value;
      const { value, forMs } = await ask();
      answers.delete(key);
      answers.set(key, { until: clock.now() + forMs, value });
      const [oldest] = answers.keys();
      if (answers.size > answersMax && oldest !== undefined) answers.delete(oldest);
      return value;
    },
  };
}
