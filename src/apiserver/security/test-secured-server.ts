/** A server for tests with real authentication and authorization: HTTPS, certificates, tokens, a fresh store in memory. */
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:http2";
import { type RequestOptions, request as httpsRequest } from "node:https";
import { facts, kinds } from "#api";
import { realClock, silentLogger } from "#base";
import type { Transport } from "#machinery";
import { openSqliteStore, type Store } from "#store";
import { createLocalTransport } from "../local-transport.ts";
import { type ApiServer, createApiServer } from "../server.ts";
import { admin, testCertificate } from "../test-server.ts";
import { bootstrapWanted } from "./bootstrap.ts";
import type { KeyPair } from "./certificates.ts";
import { createSecurity, type Security, type SecurityConfiguration } from "./create-security.ts";
import { parseTokenFile } from "./static-tokens.ts";

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
  /** The answer's object, typed loosely: tests look at what they expect. */
  // biome-ignore lint/suspicious/noExplicitAny: of whatever was asked for
  readonly body: any;
}

export interface Ask {
  readonly method?: string;
  readonly body?: unknown;
  readonly token?: string;
  readonly client?: KeyPair;
  readonly headers?: Readonly<Record<string, string | string[]>>;
}

export interface SecuredServer {
  readonly server: ApiServer;
  readonly security: Security;
  readonly store: Store;
  /** As the server itself. */
  readonly self: Transport;
  readonly port: number;
  ask(path: string, ask?: Ask): Promise<Answer>;
  /** The name in a SelfSubjectReview, or the status. */
  whoAmI(ask?: Ask): Promise<string | number>;
  /** Over HTTP/2, with the status only. */
  status2(path: string, ask?: Ask): Promise<number>;
}

export const signingKey = generateKeyPairSync("rsa", { modulusLength: 2048 })
  .privateKey.export({ type: "pkcs8", format: "pem" })
  .toString();
export const ownIssuer = "https://kubernetes.default.svc";

/** `tok` is an administrator, `alice` nobody special. */
export async function startSecuredServer(
  t: { after(run: () => unknown): void },
  { accounts, ...options }: Partial<SecurityConfiguration> = {},
): Promise<SecuredServer> {
  const tls = await testCertificate();
  const store = await openSqliteStore({ path: ":memory:", clock: realClock });
  const security = createSecurity({
    accounts: { signingKey, issuers: [ownIssuer], ...accounts },
    staticTokens: parseTokenFile('tok,admin,1,"system:masters"\nalice,alice,2'),
    clock: realClock,
    log: silentLogger,
    ...options,
  });
  const { clientAuthorities, requestHeader } = security.trusted();
  const clientCa = [clientAuthorities, requestHeader?.authorities ?? ""].filter((pem) => pem !== "");
  const server = createApiServer(
    { tls: { key: tls.key, cert: tls.certificate, clientCa }, serviceCidr: "10.96.0.0/16" },
    { ...security, store, clock: realClock, log: silentLogger, facts, kinds, objects: bootstrapWanted(Date.now()) },
  );
  const self = createLocalTransport({ pipeline: server.pipeline, clock: realClock, user: admin, userAgent: "self" });
  t.after(async () => {
    security.close();
    self.close();
    await server.close();
    await store.close();
  });
  await security.attach(server, self);
  await server.prepare();
  const { port } = await server.listen({ host: "127.0.0.1", port: 0 });
  const ask = (path: string, more: Ask = {}) => askServer(port, path, more);
  return {
    server,
    security,
    store,
    self,
    port,
    ask,
    async whoAmI(more) {
      const review = { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" };
      const path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
      const { status, body } = await ask(path, { ...more, method: "POST", body: review });
      return status === 201 ? body.status.userInfo.username : status;
    },
    async status2(path, more = {}) {
      const session = connect(`https://127.0.0.1:${port}`, {
        rejectUnauthorized: false,
        ...(more.client && { cert: more.client.certificate, key: more.client.key }),
      });
      try {
        const stream = session.request({ ":path": path, ...bearer(more), ...more.headers });
        const [headers] = await once(stream, "response");
        stream.resume();
        return headers[":status"];
      } finally {
        session.destroy();
      }
    },
  };
}

const bearer = ({ token }: Ask) => (token === undefined ? {} : { authorization: `Bearer ${token}` });

async function askServer(port: number, path: string, more: Ask): Promise<Answer> {
  const { method = "GET", body, client, headers } = more;
  const options: RequestOptions = {
    host: "127.0.0.1",
    port,
    path,
    method,
    agent: false,
    rejectUnauthorized: false,
    ...(client && { cert: client.certificate, key: client.key }),
    headers: { ...bearer(more), ...(body !== undefined && { "content-type": "application/json" }), ...headers },
  };
  const request = httpsRequest(options);
  request.end(body === undefined ? undefined : JSON.stringify(body));
  const [response] = await once(request, "response");
  let text = "";
  for await (const chunk of response) text += chunk;
  return {
    status: response.statusCode,
    headers: response.headers,
    text,
    get body() {
      return JSON.parse(text);
    },
  };
}
