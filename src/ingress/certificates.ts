/**
 * The certificates of Ingresses: which secret is for which server name, and the TLS contexts made of them when they are asked for first. Only the
 * secrets that our Ingresses name are read, each by a watch of its own, so that a role may be narrowed to them.
 */
import { createSecureContext, type SecureContext } from "node:tls";
import type { Ingress, Secret } from "#api";
import type { Clock, Logger } from "#base";
import { type Client, type ReflectorSink, runReflector, splitKey } from "#client";
import type { DeepReadonly, KubernetesObject } from "#machinery";
import { parentOf } from "./target.ts";

/** PEM. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateOptions {
  readonly client: Client;
  /** For names without a certificate. */
  readonly makeOwn: () => Promise<Pair>;
  /** `defaultPair` may have another answer now. */
  readonly onDefault: () => void;
  /** A secret that is missing is no problem of this kind. */
  readonly onProblem: (secret: string, problem: string) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Certificates {
  set(key: string, ingress: DeepReadonly<Ingress>): void;
  delete(key: string): void;
  contextOf(serverName: string): Promise<SecureContext>;
  /** For clients that name no server. */
  defaultPair(): Promise<Pair>;
  /** Resolves when the first answer about each secret known now was seen. */
  synced(): Promise<unknown>;
  close(): Promise<void>;
}

/** Contexts kept; each takes some 30 KiB. Names beyond it pay for a new one at each connection. */
const contextsMax = 2_000;
/** Host of TLS entries that name none: all that have nothing better. */
const anyHost = "";

interface Claim {
  readonly key: string;
  readonly secret: string;
  /** Older ones win. */
  readonly age: string;
}

interface WatchedSecret {
  users: number;
  readonly stop: AbortController;
  readonly done: Promise<void>;
  readonly synced: Promise<void>;
  pair: Pair | undefined;
  context: SecureContext | undefined;
  /** Made of what was there before: serves on when the secret gets broken. */
  lastGood: SecureContext | undefined;
}

export function createCertificates(options: CertificateOptions): Certificates {
  const { client, clock, log, onProblem } = options;
  const claims = new Map<string, Claim[]>();
  const hostsOf = new Map<string, readonly string[]>();
  const secretsOf = new Map<string, readonly string[]>();
  const secrets = new Map<string, WatchedSecret>();
  const ended = new Set<Promise<void>>();
  /** Those with a context, the one used last at the end. */
  const made = new Set<WatchedSecret>();
  let ownPair: Promise<Pair> | undefined;
  let ownContext: Promise<SecureContext> | undefined;

  const acquire = (secret: string): void => {
    const known = secrets.get(secret);
    if (known) known.users++;
    else secrets.set(secret, watch(secret));
  };
  const release = (secret: string): void => {
    const known = secrets.get(secret);
    if (!known || --known.users > 0) return;
    secrets.delete(secret);
    made.delete(known);
    known.stop.abort();
    ended.add(known.done);
    void known.done.finally(() => ended.delete(known.done));
  };

  function watch(secret: string): WatchedSecret {
    const { namespace, name } = splitKey(secret);
    const path = `/api/v1/namespaces/${namespace}/secrets`;
    const query = { fieldSelector: `metadata.name=${name}` };
    const isIt = ({ metadata }: KubernetesObject) => metadata?.name === name;
    const first = Promise.withResolvers<void>();
    const stop = new AbortController();
    const take = (found: KubernetesObject | undefined): void => {
      const object = found as Secret | undefined; // of that path
      const { "tls.crt": cert, "tls.key": key } = object?.data ?? {};
      const text = (value: string) => Buffer.from(value, "base64").toString();
      watched.lastGood = object && (watched.context ?? watched.lastGood);
      watched.context = undefined;
      watched.pair = cert && key ? { cert: text(cert), key: text(key) } : undefined;
      if (object && !watched.pair) onProblem(secret, "it has no tls.crt and tls.key");
      if (claims.get(anyHost)?.some((claim) => claim.secret === secret)) options.onDefault();
    };
    const sink: ReflectorSink = {
      async replace(items) {
        take(items.find(isIt));
        first.resolve();
      },
      upsert: (object) => isIt(object) && take(object),
      remove: (object) => isIt(object) && take(undefined),
    };
    const reflector = runReflector({ transport: client.transport, path, query, clock, log, sink }, stop.signal);
    const watched: WatchedSecret = {
      ...{ users: 1, stop, done: reflector, synced: first.promise },
      ...{ pair: undefined, context: undefined, lastGood: undefined },
    };
    return watched;
  }

  function contextFor(secret: string): SecureContext | undefined {
    const watched = secrets.get(secret);
    if (!watched?.pair) return watched?.lastGood;
    made.delete(watched);
    made.add(watched);
    if (watched.context) return watched.context;
    try {
      watched.context = createSecureContext(watched.pair);
    } catch (error) {
      // Said once for each content: without a pair nobody tries again.
      watched.pair = undefined;
      onProblem(secret, (error as Error).message);
      return watched.lastGood;
    }
    for (const oldest of made) {
      if (made.size <= contextsMax) break;
      oldest.context = undefined;
      made.delete(oldest);
    }
    return watched.context;
  }

  const find = (host: string): SecureContext | undefined => {
    for (const { secret } of claims.get(host) ?? []) {
      const context = contextFor(secret);
      if (context) return context;
    }
    return undefined;
  };
  const makeOwn = (): Promise<Pair> => (ownPair ??= options.makeOwn());
  const makeContext = (): Promise<SecureContext> =>
    (ownContext ??= makeOwn().then((pair) => createSecureContext(pair)));

  return {
    set(key, ingress) {
      const wanted = claimsOf(key, ingress);
      const used = [...new Set(wanted.map(([, { secret }]) => secret))];
      for (const secret of used) acquire(secret); // first, so that what stays isn't asked for again
      this.delete(key);
      for (const [host, claim] of wanted) {
        const others = claims.get(host) ?? [];
        claims.set(
          host,
          [...others, claim].sort((a, b) => (a.age < b.age ? -1 : 1)),
        );
      }
      hostsOf.set(key, [...new Set(wanted.map(([host]) => host))]);
      secretsOf.set(key, used);
      if (claims.has(anyHost)) options.onDefault();
    },
    delete(key) {
      const hosts = hostsOf.get(key) ?? [];
      for (const host of hosts) {
        const left = (claims.get(host) ?? []).filter((claim) => claim.key !== key);
        if (left.length > 0) claims.set(host, left);
        else claims.delete(host);
      }
      for (const secret of secretsOf.get(key) ?? []) release(secret);
      hostsOf.delete(key);
      secretsOf.delete(key);
      if (hosts.includes(anyHost)) options.onDefault();
    },
    async contextOf(serverName) {
      const host = serverName.toLowerCase().replace(/\.$/, "");
      const parent = parentOf(host);
      const found = find(host) ?? (parent === undefined ? undefined : find(`*.${parent}`)) ?? find(anyHost);
      return found ?? makeContext();
    },
    async defaultPair() {
      for (const { secret } of claims.get(anyHost) ?? []) {
        const pair = contextFor(secret) && secrets.get(secret)?.pair; // made to know that it is a good one
        if (pair) return pair;
      }
      return makeOwn();
    },
    synced: () => Promise.all([...secrets.values()].map(({ synced }) => synced)),
    async close() {
      for (const key of [...secretsOf.keys()]) this.delete(key);
      await Promise.all(ended);
    },
  };
}

function claimsOf(key: string, { metadata, spec }: DeepReadonly<Ingress>): (readonly [host: string, claim: Claim])[] {
  const age = `${metadata.creationTimestamp ?? ""} ${key}`;
  return (spec?.tls ?? []).flatMap(({ hosts = [], secretName }) => {
    if (!secretName) return [];
    const claim = { key, secret: `${metadata.namespace}/${secretName}`, age };
    return (hosts.length > 0 ? hosts : [anyHost]).map((host) => [host.toLowerCase(), claim] as const);
  });
}
