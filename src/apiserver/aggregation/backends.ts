/**
 * Connections to extension servers: one pool for each API service, with its authority, under the name of its Service, and with the front
 * proxy's client certificate. HTTP/1.1: a watch takes a connection of its own, everything else shares a few.
 */
import { X509Certificate } from "node:crypto";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { Agent, request as httpsRequest } from "node:https";
import { createSecureContext, type SecureContext } from "node:tls";
import type { EndpointSlice, RequestUser, Service } from "#api";
import type { DeepReadonly } from "#machinery";
import type { Lookup } from "../admission/chain.ts";
import type { KeyPair } from "../security/certificates.ts";
import { printRequestError } from "../streaming/dial-error.ts";
import type { ApiServiceEntry, RemoteService } from "./api-service-index.ts";
import { identityHeaders } from "./identity-headers.ts";
import { type Address, printAddress, serviceAddress } from "./service-address.ts";

/** Idle connections to one extension server; more only come from a burst. */
const idleSocketsMax = 16;
const idleMs = 90_000;
/** Of what the server itself asks for: keeps a mad extension server from filling memory. */
const answerBytesMax = 32 * 1024 * 1024;

export interface BackendsOptions {
  readonly lookup: Lookup;
  /** Shown to extension servers; without it they take nobody's word. */
  readonly client: KeyPair | undefined;
  /** By endpoints instead of the cluster address. */
  readonly byEndpoints: boolean;
}

/** How TLS is spoken with one extension server. */
export interface Backend {
  readonly agent: Agent;
  readonly tls: {
    readonly secureContext: SecureContext;
    readonly servername: string;
    readonly rejectUnauthorized: boolean;
  };
}

export interface Question {
  /** If it is known already. */
  readonly address?: Address;
  readonly path: string;
  readonly user: Pick<RequestUser, "name"> & Partial<RequestUser>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

export interface BackendAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export class Backends {
  readonly #options: BackendsOptions;
  readonly #backends = new Map<string, { mark: string; backend: Backend }>();

  constructor(options: BackendsOptions) {
    this.#options = options;
  }

  /** Throws what upstream says of a bundle that holds no certificates. */
  of({ name, remote }: ApiServiceEntry): Backend {
    if (!remote) throw new Error(`API service ${name} is served here`);
    // Our certificate is renewed in place.
    const mark = JSON.stringify([remote, this.#options.client?.certificate]);
    const found = this.#backends.get(name);
    if (found?.mark === mark) return found.backend;
    const backend = createBackend(remote, this.#options.client);
    found?.backend.agent.destroy();
    this.#backends.set(name, { mark, backend });
    return backend;
  }

  forget(name: string): void {
    this.#backends.get(name)?.backend.agent.destroy();
    this.#backends.delete(name);
  }

  close(): void {
    for (const name of [...this.#backends.keys()]) this.forget(name);
  }

  /** Throws what upstream's resolver says. */
  async address({ remote }: ApiServiceEntry): Promise<Address> {
    const { lookup, byEndpoints } = this.#options;
    const { namespace = "", name = "", port = 0 } = remote ?? {};
    const service = await lookup.get<Service>(lookup.kind("", "services"), namespace, name);
    const slices = byEndpoints ? await this.slices({ namespace, name }) : undefined;
    return serviceAddress({ name, port, service, slices });
  }

  async slices({ namespace, name }: { namespace: string; name: string }): Promise<DeepReadonly<EndpointSlice>[]> {
    const { lookup } = this.#options;
    const all = await lookup.list<EndpointSlice>(lookup.kind("discovery.k8s.io", "endpointslices"), namespace);
    return all.filter(({ metadata }) => metadata.labels?.["kubernetes.io/service-name"] === name);
  }

  /** A question of the server's own. Rejects with an Error in the words of Go's client. */
  async ask(entry: ApiServiceEntry, { path, user, headers, timeoutMs, ...known }: Question): Promise<BackendAnswer> {
    const { agent, tls } = this.of(entry);
    const address = known.address ?? (await this.address(entry));
    const host = printAddress(address);
    const signal = AbortSignal.timeout(timeoutMs);
    const identity = identityHeaders({ uid: "", groups: [], extra: {}, ...user });
    try {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        const request = httpsRequest({
          ...address,
          ...tls,
          agent,
          signal,
          path,
          headers: { ...headers, ...identity, host, "user-agent": "kube-apiserver" },
        });
        request.once("response", resolve);
        request.once("error", reject);
        request.end();
      });
      return { status: response.statusCode ?? 0, headers: response.headers, body: await readAll(response) };
    } catch (error) {
      if (signal.aborted) {
        // As Go's pool: what hung may hang again.
        this.forget(entry.name);
        throw new Error("context deadline exceeded (Client.Timeout exceeded while awaiting headers)");
      }
      throw new Error(printRequestError(error, { host, serverName: tls.servername }));
    }
  }
}

function createBackend({ namespace, name, caBundle, insecure }: RemoteService, client: KeyPair | undefined): Backend {
  const ca = caBundle === "" ? undefined : Buffer.from(caBundle, "base64");
  if (ca) checkBundle(ca);
  const secureContext = createSecureContext({
    ...(ca && { ca }),
    ...(client && { cert: client.certificate, key: client.key }),
  });
  const agent = new Agent({ keepAlive: true, maxFreeSockets: idleSocketsMax, timeout: idleMs });
  return { agent, tls: { secureContext, servername: `${name}.${namespace}.svc`, rejectUnauthorized: !insecure } };
}

function checkBundle(ca: Buffer): void {
  try {
    void new X509Certificate(ca);
  } catch {
    // Why OpenSSL couldn't read it says less than Go's words, which people search for.
    throw new Error("unable to load root certificates: unable to parse bytes as PEM block");
  }
}

async function readAll(response: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of response as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > answerBytesMax) throw new Error("http: response body too large");
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
