/**
 * Packets to packets: what is asked about the cluster is answered at once; the rest is the forwarder's. Most answers are made anew each time, in
 * two microseconds, which is less than keeping them costs; long ones are kept until their Service changes.
 */
import type { Logger } from "#base";
import type { Forwarder } from "./forward/forwarder.ts";
import { type DnsRecord, encode } from "./message.ts";
import { type Resolution, resolve, startOfAuthority } from "./records.ts";
import { TemplateCache } from "./template-cache.ts";
import {
  codes,
  finish,
  type Query,
  type Refusal,
  type ResponseCode,
  readQuery,
  type Template,
  writeRefusal,
} from "./wire.ts";
import type { LiveZone } from "./zone.ts";

export interface AnswererOptions {
  readonly live: Pick<LiveZone, "zone" | "onChange" | "hasSynced">;
  /** `cluster.local`; the first is what pointers name. */
  readonly domains: readonly string[];
  readonly forwarder: Forwarder;
  readonly log: Logger;
}

/** What was asked and answered, for those who count. */
export type Observer = (
  query: Query | Refusal,
  about: { answer: Buffer; startedMs: number; udp: boolean; isIpv6: boolean },
) => void;

export interface Answerer {
  /** At once if it can be; undefined: nothing may be said. Never throws, never rejects. */
  answer(message: Buffer, udp: boolean, isIpv6?: boolean): Buffer | Promise<Buffer> | undefined;
  observer: Observer | undefined;
  close(): void;
}

/** Shorter answers are made anew. */
const keptBytesMin = 400;

const resultCodes = {
  ...{ found: codes.noError, empty: codes.noError, missing: codes.nameError, refused: codes.refused },
} as const satisfies Record<Resolution["result"], ResponseCode>;

export function createAnswerer({ live, domains, forwarder, log }: AnswererOptions): Answerer {
  const { zone } = live;
  const cache = new TemplateCache();
  const stop = live.onChange((owner) => cache.forget(owner));
  let turn = 0;

  function local(query: Query): Template | Resolution | undefined {
    const kept = cache.get(query.name, query.type);
    if (kept) return kept;
    const resolution = forwarder.hasStub(query.name) ? undefined : resolve(query, { zone, domains });
    if (!resolution || resolution.follow !== undefined) return resolution;
    const template = encode(messageOf(query, resolution, resultCodes[resolution.result]));
    if (resolution.owner !== undefined && template.bytes.length >= keptBytesMin)
      cache.set(query, template, resolution.owner);
    return template;
  }

  /** Before everything was listed, nobody can say that a name isn't there. */
  const isUnsure = ({ bytes }: Template) => (bytes[3]! & 0xf) === codes.nameError && !live.hasSynced(); // a header

  function messageOf(query: Query, resolution: Resolution, code: ResponseCode) {
    const { answers, additionals, domain } = resolution;
    const isNegative = answers.every(({ type }) => type === "CNAME") && resolution.result !== "refused";
    const authorities: DnsRecord[] =
      isNegative && resolution.result !== "found" ? [startOfAuthority(domain, zone)] : [];
    const authoritative = resolution.result !== "refused";
    return { name: query.name, type: query.type, code, authoritative, answers, authorities, additionals };
  }

  /** A CNAME out of the cluster with what upstream says of its target; its code is that of the target (RFC 6604). */
  async function follow(query: Query, resolution: Resolution): Promise<Template> {
    const target = await forwarder.ask({ ...query, name: resolution.follow ?? "" }).catch((error: unknown) => {
      log.debug("dns: target of a CNAME not resolved", { target: resolution.follow, error });
      return undefined;
    });
    if (!target) return encode(messageOf(query, resolution, codes.serverFailure));
    return forwarder.join(encode(messageOf(query, resolution, codes.noError)), target);
  }

  async function foreign(query: Query, resolution: Resolution | undefined): Promise<Buffer> {
    try {
      const template = resolution ? await follow(query, resolution) : await forwarder.ask(query);
      return finish(template, query, { nowMs: performance.now(), turn: turn++ });
    } catch (error) {
      log.debug("dns: not resolved", { name: query.name, error });
      return writeRefusal(query, forwarder.codeOf(error));
    }
  }

  function answerTo(query: Query | Refusal | undefined): Buffer | Promise<Buffer> | undefined {
    if (!query) return undefined;
    if ("code" in query) return writeRefusal(query, query.code);
    const found = local(query);
    if (found && "bytes" in found)
      return isUnsure(found) ? writeRefusal(query, codes.serverFailure) : finish(found, query, { turn: turn++ });
    const kept = found ? undefined : forwarder.cached(query);
    return kept ? finish(kept, query, { nowMs: performance.now(), turn: turn++ }) : foreign(query, found);
  }

  const answerer: Answerer = {
    observer: undefined,
    answer(message, udp, isIpv6 = false) {
      // Most are neither counted nor waited for: no closure is made for them.
      const { observer } = answerer;
      const startedMs = observer ? performance.now() : 0;
      const query = readQuery(message, udp);
      const answer = answerTo(query);
      if (!observer || !query || !answer) return answer;
      const told = (ready: Buffer) => observer(query, { answer: ready, startedMs, udp, isIpv6 });
      if (Buffer.isBuffer(answer)) told(answer);
      else void answer.then(told);
      return answer;
    },
    close: stop,
  };
  return answerer;
}
