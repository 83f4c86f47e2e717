/** The API server alone, over HTTPS as well, and a server for its webhooks: what conformance tests of the API need that want no loops. */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { createServer, request } from "node:https";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { KubernetesObject, WatchEvent } from "#machinery";
import { createAuthority, issueCertificate } from "../../src/apiserver/security/certificates.ts";
import {
  startTestServer,
  type TestObject,
  type TestServer,
  type TestServerOptions,
  testCertificate,
} from "../../src/apiserver/test-server.ts";

export const mergePatch = { contentType: "application/merge-patch+json" };
export const jsonPatch = { contentType: "application/json-patch+json" };

export interface Listening extends TestServer {
  /** Bytes as they are: what is written twice in them arrives twice. */
  send(method: string, path: string, body?: string, contentType?: string): Promise<{ status: number; text: string }>;
}

export async function startListening(options: TestServerOptions = {}): Promise<Listening> {
  const api = await startTestServer({ tls: await testCertificate(), ...options });
  const { port } = await api.server.listen({ host: "127.0.0.1", port: 0 });
  return {
    ...api,
    async send(method, path, body = "", contentType = "application/json") {
      const headers = { authorization: "Bearer admin", ...(body && { "content-type": contentType }) };
      const options = { host: "127.0.0.1", port, method, path, headers, rejectUnauthorized: false, agent: false };
      const [answer] = (await once(request(options).end(body), "response")) as [IncomingMessage];
      return { status: answer.statusCode ?? 0, text: await text(answer) };
    },
  };
}

/** What a refused call says. */
export async function refusal(call: Promise<unknown>): Promise<{ code: number; message: string }> {
  const error = await call.then(
    () => assert.fail("it was let in"),
    (thrown: unknown) => thrown,
  );
  if (error instanceof assert.AssertionError) throw error;
  return error as { code: number; message: string }; // a StatusError
}

export interface Watching {
  /** Resolves with the next event. */
  next(): Promise<{ readonly type: WatchEvent["type"]; readonly object: TestObject }>;
  /** How many came that nobody took. */
  readonly waiting: number;
  stop(): Promise<void>;
}

export function watch(api: TestServer, path: string, query: Record<string, string>): Watching {
  const events: WatchEvent[] = [];
  const abort = new AbortController();
  let wake = (): void => undefined;
  const watched = api.transport.watch({ method: "GET", path, query, signal: abort.signal }, (event) => {
    if (event.type !== "BOOKMARK") events.push(event);
    wake();
  });
  return {
    async next() {
      for (;;) {
        const event = events.shift();
        if (event) return event as { type: WatchEvent["type"]; object: TestObject };
        await new Promise<void>((resolve) => (wake = resolve));
      }
    },
    get waiting() {
      return events.length;
    },
    async stop() {
      abort.abort();
      await watched;
    },
  };
}

/** That a resource is found by walking down from /apis. */
export async function assertDiscovered(api: TestServer, groupVersion: string, resources: readonly string[]) {
  const [group = "", version = ""] = groupVersion.split("/");
  interface Group {
    readonly name: string;
    readonly versions: readonly { readonly groupVersion: string; readonly version: string }[];
  }
  const { groups } = (await api.call("GET", "/apis")) as unknown as { groups: Group[] };
  const one = (await api.call("GET", `/apis/${group}`)) as unknown as Group;
  assert.equal(one.name, group);
  for (const found of [groups.find(({ name }) => name === group), one])
    assert.ok(found?.versions.some((each) => each.version === version && each.groupVersion === groupVersion));
  const list = await api.call("GET", `/apis/${groupVersion}`);
  const { groupVersion: named, resources: listed } = list as unknown as {
    groupVersion: string;
    resources: { name: string }[];
  };
  assert.equal(named, groupVersion);
  const names = new Set(listed.map(({ name }) => name));
  for (const resource of resources) assert.ok(names.has(resource), `${resource} is not in ${groupVersion}`);
}

export interface Review {
  readonly kind: string;
  readonly apiVersion: string;
  readonly request: {
    readonly uid: string;
    readonly operation: string;
    readonly name?: string;
    readonly object: (KubernetesObject & { data?: Record<string, string>; spec?: unknown }) | null;
    readonly oldObject: (KubernetesObject & { data?: Record<string, string> }) | null;
  };
}

/** The response; a promise that never settles is a webhook that hangs. */
export type Answer = (review: Review) => object | Promise<object>;

export interface Hooks {
  readonly answers: Map<string, Answer>;
  /** Paths with their queries, in the order they were asked. */
  readonly asked: string[];
  client(path: string): { url: string; caBundle: string };
  close(): Promise<void>;
}

/** A real webhook server: answers by path. */
export async function startHooks(): Promise<Hooks> {
  const now = Date.now();
  const authority = await createAuthority("hooks", { now, validDays: 1 });
  const leaf = { commonName: "hook", usages: ["server" as const], ipAddresses: ["127.0.0.1"], validDays: 1, now };
  const { certificate: cert, key } = await issueCertificate(authority, leaf);
  const answers = new Map<string, Answer>();
  const asked: string[] = [];
  const server = createServer({ cert, key }, async (incoming, response) => {
    const review = JSON.parse(await text(incoming)) as Review;
    const { pathname, search } = new URL(incoming.url ?? "", "https://hook");
    asked.push(`${pathname}${search}`);
    const { apiVersion, kind, request: about } = review;
    const answer = await answers.get(pathname)?.(review);
    if (!answer) response.writeHead(404).end();
    else response.end(JSON.stringify({ apiVersion, kind, response: { uid: about.uid, ...answer } }));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  return {
    answers,
    asked,
    client: (path) => ({
      url: `https://127.0.0.1:${port}${path}`,
      caBundle: Buffer.from(authority.certificate).toString("base64"),
    }),
    async close() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}
