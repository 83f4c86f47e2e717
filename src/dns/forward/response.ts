/** Answers of other servers: checked against what was asked, and made into templates that can be kept and given to others. */
import { codes, flags, headerBytes, type RawRecord, readRecord, type Template, types } from "../wire.ts";

/** A question of our own. */
export interface Asked {
  /** With its id. */
  readonly packet: Buffer;
  /** Where the question ends in it. */
  readonly end: number;
}

export interface Response extends Template {
  readonly code: number;
  readonly isTruncated: boolean;
  /** How long it may be kept. */
  readonly keepSeconds: number;
  readonly ttls: { readonly at: readonly number[]; readonly bornMs: number };
}

/** `other`: not the answer to this, so that one may still come; `broken`: it is, and can't be read. */
export function readResponse(raw: Buffer, asked: Asked, nowMs: number): Response | "other" | "broken" {
  if (!answers(raw, asked)) return "other";
  const word = (at: number) => raw.readUInt16BE(at);
  const head = word(2);
  const counts = [word(6), word(8), word(10)];
  const ends = [asked.end];
  const at: number[] = [];
  let end = asked.end;
  let extended = 0;
  let keepSeconds = Number.POSITIVE_INFINITY;
  let deniedSeconds = 0;
  // The last section may end early: nothing behind OPT is kept, whose place is the end.
  for (const [section, count] of counts.entries()) {
    for (let i = 0; i < count; i++) {
      const record = readRecord(raw, end);
      if (!record) return "broken";
      if (record.type === types.OPT) {
        if (section !== 2) return "broken";
        extended = raw[record.ttlAt]!; // inside of the record
        counts[2] = i;
        break;
      }
      const ttl = Math.min(raw.readUInt32BE(record.ttlAt), 0x7fffffff);
      if (section < 2) keepSeconds = Math.min(keepSeconds, ttl);
      if (section === 1 && record.type === types.SOA) deniedSeconds = Math.min(ttl, raw.readUInt32BE(record.end - 4));
      at.push(record.ttlAt);
      end = record.end;
      if (section === 0) ends.push(end);
    }
  }
  const code = head & flags.code;
  if (extended !== 0) return "broken";
  const isTruncated = (head & flags.truncated) !== 0;
  const bytes = Buffer.from(raw.subarray(0, end));
  bytes.writeUInt16BE(0, 0);
  const kept = flags.response | flags.truncated | flags.authenticated | flags.code;
  bytes.writeUInt16BE((head & kept) | flags.recursionAvailable, 2);
  for (const [section, count] of counts.entries()) bytes.writeUInt16BE(count, 6 + 2 * section);
  const isPositive = code === codes.noError && (counts[0] ?? 0) > 0;
  const isDenial = code === codes.nameError || (code === codes.noError && !isPositive);
  const seconds = isPositive ? keepSeconds : isDenial ? Math.min(keepSeconds, deniedSeconds) : 0;
  return {
    ...{ bytes, ends, turnBytes: 0, ttls: { at, bornMs: nowMs }, code, isTruncated },
    keepSeconds: isTruncated ? 0 : seconds,
  };
}

function answers(raw: Buffer, { packet, end }: Asked): boolean {
  if (raw.length < end || raw.readUInt16BE(0) !== packet.readUInt16BE(0)) return false;
  const head = raw.readUInt16BE(2);
  if ((head & flags.response) === 0 || (head & flags.opcode) !== 0 || raw.readUInt16BE(4) !== 1) return false;
  const lower = (bytes: Buffer) => bytes.toString("latin1", headerBytes, end - 4).toLowerCase();
  return lower(raw) === lower(packet) && raw.subarray(end - 4, end).equals(packet.subarray(end - 4, end));
}

/** CNAMEs of ours, and behind them what another server said of their target. */
export function joinAnswers(head: Template, tail: Response): Template {
  const { bytes: from } = tail;
  const chunks: Buffer[] = [head.bytes];
  const ends = [...head.ends];
  const ttls: number[] = [];
  let length = head.bytes.length;
  let start = tail.ends[0]!; // the question's
  const [answerCount, authorityCount] = [from.readUInt16BE(6), from.readUInt16BE(8)];
  for (let i = 0; i < answerCount + authorityCount; i++) {
    const record = readRecord(from, start);
    const chunk = record && standalone(from, record);
    if (!record || !chunk) break;
    start = record.end;
    ttls.push(length + chunk.ttlAt);
    chunks.push(chunk.bytes);
    length += chunk.bytes.length;
    if (i < answerCount) ends.push(length);
  }
  const bytes = Buffer.concat(chunks);
  const isTruncated = from.readUInt16BE(2) & flags.truncated;
  bytes.writeUInt16BE((bytes.readUInt16BE(2) & ~flags.code) | tail.code | isTruncated, 2);
  bytes.writeUInt16BE(ends.length - 1, 6);
  bytes.writeUInt16BE(ttls.length - (ends.length - head.ends.length), 8);
  bytes.writeUInt16BE(0, 10);
  return { bytes, ends, turnBytes: 0, ttls: { at: ttls, bornMs: tail.ttls.bornMs } };
}

/** Where names stand in the data of a type: behind so many bytes, so many of them. Newer types don't compress theirs. */
const namesIn: Record<number, readonly [before: number, names: number]> = {
  ...{ [types.NS]: [0, 1], [types.CNAME]: [0, 1], [types.PTR]: [0, 1] },
  ...{ [types.MX]: [2, 1], [types.SRV]: [6, 1], [types.SOA]: [0, 2] },
};

/** A record without pointers, that can stand in another packet. */
function standalone(raw: Buffer, record: RawRecord): { bytes: Buffer; ttlAt: number } | undefined {
  const owner = expand(raw, record.start);
  if (!owner) return undefined;
  const [before, names] = namesIn[record.type] ?? [record.end - record.dataAt, 0];
  const parts = [raw.subarray(record.dataAt, record.dataAt + before)];
  let at = record.dataAt + before;
  for (let i = 0; i < names; i++) {
    const name = expand(raw, at);
    if (!name) return undefined;
    parts.push(name.bytes);
    at = name.end;
  }
  const data = Buffer.concat([...parts, raw.subarray(at, record.end)]);
  const fixed = Buffer.from(raw.subarray(record.ttlAt - 4, record.dataAt));
  fixed.writeUInt16BE(data.length, 8);
  return { bytes: Buffer.concat([owner.bytes, fixed, data]), ttlAt: owner.bytes.length + 4 };
}

/** A name in full, and where it ends at its place. Pointers only lead back, each further than the last, so that it ends. */
function expand(raw: Buffer, start: number): { bytes: Buffer; end: number } | undefined {
  const parts: Buffer[] = [];
  let end = 0;
  let bound = start;
  for (let at = start; ; ) {
    const length = raw[at];
    if (length === undefined) return undefined;
    if (length >= 0xc0) {
      if (at + 1 >= raw.length) return undefined;
      end ||= at + 2;
      at = raw.readUInt16BE(at) & 0x3fff;
      if (at >= bound) return undefined;
      bound = at;
      continue;
    }
    if (length > 63) return undefined;
    parts.push(raw.subarray(at, at + 1 + length));
    at += 1 + length;
    if (length > 0) continue;
    const bytes = Buffer.concat(parts);
    return bytes.length > 255 ? undefined : { bytes, end: end || at };
  }
}
