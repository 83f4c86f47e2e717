/**
 * Questions about others' names: to the servers of the longest stub domain they lie in, or to the machine's resolvers. Answers are kept as
 * long as they say; the same question is asked once however many wait for it, which also ends a loop after its first round.
 */
import type { Logger } from "#base";
import { isIn } from "../records.ts";
import { codes, type Query, type ResponseCode, types, type Template } from "../wire.ts";
import { AnswerCache, type CacheLimits, defaultLimits } from "./answer-cache.ts";
import { type ForwardQuestion, parseServer, type Server } from "./exchange.ts";
import { Group } from "./group.ts";
import { joinAnswers, type Response } from "./response.ts";

export interface ForwardSettings {
  /** `IP` or `IP:PORT`. */
  readonly servers: readonly string[];
  /** Domain to servers. */
  readonly stubs?: Readonly<Record<string, readonly string[]>>;
}

export interface Forwarder {
  /** A stub domain that lies closer than the cluster's own domains has this name. */
  hasStub(name: string): boolean;
  cached(query: Query): Response | undefined;
  /** Rejects when nobody answered. */
  ask(question: ForwardQuestion): Promise<Response>;
  join(head: Template, tail: Response): Template;
  /** What to tell the client of an error of `ask`. */
  codeOf(error: unknown): ResponseCode;
  /** Forgets what was kept, if anything is different. */
  configure(settings: ForwardSettings): void;
  readonly cache: Pick<AnswerCache, "size" | "hits" | "misses">;
}

export interface ForwarderOptions {
  readonly log: Logger;
  readonly limits?: Partial<CacheLimits>;
  readonly waitMs?: number;
  /** Stub domains inside of these win over the cluster. */
  readonly domains?: readonly string[];
  /** Our own: never asked. */
  readonly own?: readonly Server[];
}

/** Questions on their way at once: protects sockets from a flood of foreign names. As `max_concurrent` of CoreDNS' usual set-up. */
const pendingMax = 1000;

class Overload extends Error {
  readonly code = "overload";
}

export function createForwarder(settings: ForwardSettings, options: ForwarderOptions): Forwarder {
  const { log, domains = [], own = [] } = options;
  const cache = new AnswerCache({ ...defaultLimits, ...options.limits });
  const pending = new Map<string, Promise<Response>>();
  const probes = new Map<string, () => void>();
  let configured = "";
  let fallback: Group;
  let stubs: (readonly [domain: string, group: Group])[] = [];
  let inner: string[] = [];

  function groupOf(names: readonly string[], of: string): Group {
    const servers = names.flatMap((name) => {
      const server = parseServer(name);
      if (!server) log.warn("dns: not an address of a resolver, left out", { name, of });
      const isOwn = own.some(({ host, port }) => host === server?.host && port === server.port);
      if (isOwn) log.error("dns: loop: a resolver is this server itself, left out", { name, of });
      return server && !isOwn ? [server] : [];
    });
    return new Group({ servers, log, probes, ...(options.waitMs !== undefined && { waitMs: options.waitMs }) });
  }

  function configure(next: ForwardSettings): void {
    const text = JSON.stringify(next);
    if (text === configured) return;
    configured = text;
    cache.clear();
    fallback = groupOf(next.servers, ".");
    stubs = Object.entries(next.stubs ?? {})
      .map(([name, servers]) => [name.toLowerCase().replace(/^\.+|\.+$/g, ""), groupOf(servers, name)] as const)
      .sort(([a], [b]) => b.length - a.length);
    inner = stubs.map(([name]) => name).filter((name) => domains.some((domain) => isIn(name, domain)));
  }
  configure(settings);

  const keyOf = ({ name, type, wantsSignatures }: ForwardQuestion) => `${type}${wantsSignatures ? "+" : " "}${name}`;

  async function askOnce(question: ForwardQuestion, key: string): Promise<Response> {
    const group = stubs.find(([domain]) => isIn(question.name, domain))?.[1] ?? fallback;
    const response = await group.ask(question);
    cache.set(key, response, performance.now());
    return response;
  }

  return {
    cache,
    configure,
    join: joinAnswers,
    hasStub: (name) => inner.length > 0 && inner.some((domain) => isIn(name, domain)),
    cached: (query) => cache.get(keyOf(query), performance.now()),
    ask(question) {
      const key = keyOf(question);
      const found = pending.get(key);
      if (found) return found;
      const seen = question.type === types.HINFO ? probes.get(question.name) : undefined;
      seen?.();
      if (seen) return Promise.reject(new Overload("our own question came back"));
      if (pending.size >= pendingMax)
        return Promise.reject(new Overload(`more than ${pendingMax} forwarded questions at once`));
      const asking = askOnce(question, key).finally(() => pending.delete(key));
      pending.set(key, asking);
      return asking;
    },
    codeOf: (error) => (error instanceof Overload ? codes.refused : codes.serverFailure),
  };
}
