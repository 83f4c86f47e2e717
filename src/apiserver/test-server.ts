/** A server for tests: real store in memory, real registry, everyone is allowed everything unless the test says otherwise. */
import { facts, type Kind, kinds, type RequestUser } from "#api";
import { type Clock, realClock, silentLogger } from "#base";
import type { ApiRequest, KubernetesObject, Transport } from "#machinery";
import { openSqliteStore, type Store } from "#store";
import type { ServiceNetworkOptions } from "./allocation/service-network.ts";
import type { Auditor } from "./audit/auditor.ts";
import type { FlowOptions } from "./flowcontrol/create-flow.ts";
import { createLocalTransport } from "./local-transport.ts";
import type { CallHandlers } from "./registry/registry.ts";
import { createAuthority, issueCertificate, type KeyPair } from "./security/certificates.ts";
import { allowAll, type Authenticator, type Authorizer } from "./security.ts";
import { type ApiServer, createApiServer, type ServedFacts } from "./server.ts";

export interface TestServer {
  readonly server: ApiServer;
  readonly store: Store;
  readonly transport: Transport;
  /** As the administrator. Answers are typed loosely: tests look at what they expect. */
  call(method: ApiRequest["method"], path: string, body?: unknown, more?: Partial<ApiRequest>): Promise<TestObject>;
  close(): Promise<void>;
}

/** An answer as tests look at it. */
export interface TestObject extends KubernetesObject {
  metadata: NonNullable<KubernetesObject["metadata"]> & { continue?: string; remainingItemCount?: number };
  items: TestObject[];
  spec: Record<string, unknown>;
  status: Record<string, unknown>;
  data: Record<string, string>;
}

export interface TestServerOptions {
  readonly clock?: Clock;
  readonly authorizer?: Authorizer;
  readonly tls?: KeyPair;
  /** Beside the server's own. */
  readonly handlers?: CallHandlers;
  /** Without one there is only `Bearer admin`. */
  readonly authenticator?: Authenticator;
  readonly audit?: Auditor;
  /** Without one it is in memory. Closed with the server. */
  readonly store?: Store;
  readonly flow?: FlowOptions;
  /** Ranges of Services and the like; `10.96.0.0/16` alone without. */
  readonly network?: Partial<ServiceNetworkOptions> & { readonly eventSeconds?: number };
  readonly unsafeDeletion?: boolean;
  /** What extension servers are shown. */
  readonly frontProxy?: KeyPair;
  /** Beside those of the API. */
  readonly more?: { readonly facts: ServedFacts; readonly kinds: readonly Kind[] };
}

export const admin: RequestUser = { name: "admin", uid: "1", groups: ["system:masters"], extra: {} };

export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const { clock = realClock, authorizer = allowAll, tls, handlers, audit } = options;
  const store = options.store ?? (await openSqliteStore({ path: ":memory:", clock }));
  const server = createApiServer(
    {
      tls: { key: tls?.key ?? "", cert: tls?.certificate ?? "" },
      serviceCidr: "10.96.0.0/16",
      unsafeDeletion: options.unsafeDeletion,
      ...options.network,
      ...(options.flow && { flow: options.flow }),
    },
    {
      store,
      clock,
      log: silentLogger,
      facts: options.more?.facts ?? facts,
      kinds: [...kinds, ...(options.more?.kinds ?? [])],
      authorizer,
      ...(handlers && { handlers }),
      audit,
      frontProxy: options.frontProxy,
      authenticator: options.authenticator ?? {
        authenticate: ({ headers }) => (headers.authorization === "Bearer admin" ? admin : undefined),
      },
    },
  );
  await server.prepare();
  const transport = createLocalTransport({ pipeline: server.pipeline, clock, user: admin, userAgent: "test" });
  return {
    server,
    store,
    transport,
    call: (method, path, body, more) => transport.request({ method, path, body, ...more }) as Promise<TestObject>,
    async close() {
      transport.close();
      await server.close();
      await store.close();
    },
  };
}

export async function testCertificate(): Promise<KeyPair> {
  const now = Date.now();
  const authority = await createAuthority("test", { now, validDays: 1 });
  const names = { dnsNames: ["localhost"], ipAddresses: ["127.0.0.1"] };
  return issueCertificate(authority, { commonName: "test", usages: ["server"], validDays: 1, now, ...names });
}

export const configMaps = "/api/v1/namespaces/default/configmaps";

export const configMap = (name: string, data: Record<string, string> = {}, labels?: Record<string, string>) => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, ...(labels && { labels }) },
  data,
});
