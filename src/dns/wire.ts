/**
 * Packets to questions, and answers that were encoded once to packets. Our own codec because both sides are hot and hostile: a question is
 * read without allocating more than its name, an answer is a copy of bytes made earlier with id, flags, question and TTLs patched in place.
 * Nothing here throws on what others sent.
 */

/** Numbers of record types and of what is asked for. */
export const types = {
  ...{ A: 1, NS: 2, CNAME: 5, SOA: 6, PTR: 12, HINFO: 13, MX: 15, TXT: 16, AAAA: 28, SRV: 33, OPT: 41 },
  ...{ IXFR: 251, AXFR: 252, ANY: 255 },
} as const;
export const codes = {
  ...{ noError: 0, formatError: 1, serverFailure: 2, nameError: 3, notImplemented: 4, refused: 5, badVersion: 16 },
} as const;
export type ResponseCode = (typeof codes)[keyof typeof codes];

/** In the second word of a packet. */
export const flags = {
  ...{ response: 0x8000, opcode: 0x7800, authoritative: 0x400, truncated: 0x200, recursionDesired: 0x100 },
  ...{ recursionAvailable: 0x80, authenticated: 0x20, checkingDisabled: 0x10, code: 0xf },
} as const;

export const headerBytes = 12;
const classInternet = 1;
/** What every client takes without EDNS. */
const udpBytesPlain = 512;
/** Above this, UDP packets get lost in fragments: more is answered by TCP. */
export const udpBytesMax = 1232;
export const tcpBytesMax = 65535;
const nameBytesMax = 255;
const optBytes = 11;

export interface Query {
  /** In lower case, without the last dot; "" is the root. A dot inside of a label has a backslash before it. */
  readonly name: string;
  readonly type: number;
  /** Id, flags and the question as asked. */
  readonly raw: Buffer;
  /** Where the question ends in `raw`. */
  readonly end: number;
  /** Bytes the answer may have. */
  readonly bytesMax: number;
  readonly edns: boolean;
  /** EDNS: the client wants signatures. */
  readonly wantsSignatures: boolean;
}

/** What can't be answered but with a code; `end` is 0 when the question can't be given back. */
export interface Refusal {
  readonly code: ResponseCode;
  readonly raw: Buffer;
  readonly end: number;
  readonly edns: boolean;
}

/** Undefined: not a question at all (an answer, or too short to be told of), nothing may be sent. */
export function readQuery(raw: Buffer, udp: boolean): Query | Refusal | undefined {
  if (raw.length < headerBytes || raw[2]! >= 0x80) return undefined; // long enough
  const refuse = (code: ResponseCode, end = 0, edns = false): Refusal => ({ code, raw, end, edns });
  if ((word(raw, 2) & flags.opcode) !== 0) return refuse(codes.notImplemented);
  if (word(raw, 4) !== 1 || word(raw, 6) !== 0 || word(raw, 8) !== 0 || word(raw, 10) > 2)
    return refuse(codes.formatError);
  // Pointers aren't allowed here: there is nothing yet that they could point to.
  const nameEnd = plainNameEnd(raw, headerBytes);
  if (nameEnd === 0 || nameEnd + 4 > raw.length) return refuse(codes.formatError);
  const end = nameEnd + 4;
  const type = word(raw, nameEnd);
  let at = end;
  let edns = false;
  let offered = udpBytesPlain;
  let wantsSignatures = false;
  for (let left = word(raw, 10); left > 0; left--) {
    const record = readRecord(raw, at);
    if (!record) return refuse(codes.formatError);
    at = record.end;
    if (record.type !== types.OPT) continue;
    // RFC 6891 6.1.1: one, at the root.
    if (edns || record.dataAt - 10 !== record.start + 1) return refuse(codes.formatError);
    edns = true;
    offered = word(raw, record.start + 3);
    if (raw[record.start + 6] !== 0) return refuse(codes.badVersion, end, true);
    wantsSignatures = (raw[record.start + 7]! & 0x80) !== 0; // inside of the record
  }
  if (word(raw, nameEnd + 2) !== classInternet) return refuse(codes.refused, end, edns);
  const bytesMax = udp ? Math.min(Math.max(offered, udpBytesPlain), udpBytesMax) : tcpBytesMax;
  return { name: textOf(raw, headerBytes), type, raw, end, bytesMax, edns, wantsSignatures };
}

const word = (raw: Buffer, at: number): number => (raw[at]! << 8) | raw[at + 1]!; // callers know the length

/** Behind a name without pointers; 0 when it isn't one. */
function plainNameEnd(raw: Buffer, start: number): number {
  let at = start;
  for (let length = raw[at]; length !== 0; length = raw[at]) {
    if (length === undefined || length > 63) return 0;
    at += length + 1;
    if (at - start >= nameBytesMax) return 0;
  }
  return at + 1;
}

/** Where names are put together: the longest one with a backslash before each byte. Nothing stays in it between two calls. */
const scratch = Buffer.alloc(2 * nameBytesMax);

/** A name without pointers as text. */
function textOf(raw: Buffer, start: number): string {
  let to = 0;
  for (let at = start; raw[at] !== 0; ) {
    if (to > 0) scratch[to++] = 0x2e;
    for (const end = at + 1 + raw[at]!; ++at < end; ) {
      const byte = raw[at]!; // checked when the name's end was looked for
      if (byte === 0x2e || byte === 0x5c) scratch[to++] = 0x5c;
      // Only ASCII has a case in names.
      scratch[to++] = byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
    }
  }
  return scratch.toString("latin1", 0, to);
}

export interface RawRecord {
  readonly start: number;
  readonly type: number;
  readonly ttlAt: number;
  readonly dataAt: number;
  readonly end: number;
}

/** The record that begins there; undefined when it isn't whole. Its name may end in a pointer, to before itself only. */
export function readRecord(raw: Buffer, start: number): RawRecord | undefined {
  let at = start;
  for (let length = raw[at]; length !== 0; length = raw[at]) {
    if (length === undefined) return undefined;
    if (length >= 0xc0) {
      if (at + 1 >= raw.length || (word(raw, at) & 0x3fff) >= start) return undefined;
      at++;
      break;
    }
    if (length > 63) return undefined;
    at += length + 1;
    if (at - start >= nameBytesMax) return undefined;
  }
  at++;
  if (at + 10 > raw.length) return undefined;
  const end = at + 10 + word(raw, at + 8);
  if (end > raw.length) return undefined;
  return { start, type: word(raw, at), ttlAt: at + 4, dataAt: at + 10, end };
}

/** An answer that was encoded once: for one name (of any case) and one type, without id, and without OPT. */
export interface Template {
  readonly bytes: Buffer;
  /** Where the question and then each record of the answer section ends. */
  readonly ends: readonly number[];
  /** Answers are addresses of this many bytes each, which take turns; 0: they keep their order. */
  readonly turnBytes: number;
  /** Of answers from upstream: where times to live are, that count down from `bornMs`. */
  readonly ttls?: { readonly at: readonly number[]; readonly bornMs: number };
}

const keptFlags = flags.recursionDesired | flags.checkingDisabled;

/** The template as an answer to this question: as much of it as the client takes. */
export function finish(template: Template, query: Query, { turn = 0, nowMs = 0 } = {}): Buffer {
  const { bytes, ends, turnBytes, ttls } = template;
  const extra = query.edns ? optBytes : 0;
  const room = query.bytesMax - extra;
  let length = bytes.length;
  let kept = -1;
  if (length > room) {
    // What only helps goes first, then answers from the end; the client asks again by TCP.
    kept = ends.length - 1;
    while (kept > 0 && ends[kept]! > room) kept--; // inside
    length = ends[kept]!;
  }
  const out = Buffer.allocUnsafe(length + extra);
  bytes.copy(out, 0, 0, length);
  query.raw.copy(out, headerBytes, headerBytes, query.end);
  const whole = kept < 0 || kept === ends.length - 1;
  const asked = word(query.raw, 2) & keptFlags;
  out.writeUInt16BE(word(query.raw, 0), 0);
  out.writeUInt16BE(word(bytes, 2) | asked | (whole ? 0 : flags.truncated), 2);
  if (kept >= 0) {
    out.writeUInt16BE(kept, 6);
    out.fill(0, 8, headerBytes);
  }
  if (turnBytes > 0 && turn > 0) takeTurns(out, bytes, { from: ends[0]!, bytes: turnBytes, turn, length }); // the question's
  if (ttls) countDown(out, ttls, { nowMs, length });
  if (query.edns) {
    writeOpt(out, length, query.wantsSignatures);
    out.writeUInt16BE(word(out, 10) + 1, 10);
  }
  return out;
}

/** Each answer begins with another address, so that clients which take the first spread themselves. */
function takeTurns(
  out: Buffer,
  bytes: Buffer,
  { from, bytes: each, turn, length }: { from: number; bytes: number; turn: number; length: number },
): void {
  const all = word(bytes, 6);
  if (all < 2) return;
  const fit = Math.floor((length - from) / each);
  for (let i = 0, at = turn % all; i < Math.min(all, fit); i++, at = at + 1 === all ? 0 : at + 1)
    bytes.copy(out, from + i * each, from + at * each, from + (at + 1) * each);
}

function countDown(
  out: Buffer,
  { at, bornMs }: { at: readonly number[]; bornMs: number },
  { nowMs, length }: { nowMs: number; length: number },
): void {
  const age = Math.floor((nowMs - bornMs) / 1000);
  if (age <= 0) return;
  for (const each of at) if (each + 4 <= length) out.writeUInt32BE(Math.max(0, out.readUInt32BE(each) - age), each);
}

function writeOpt(out: Buffer, at: number, wantsSignatures: boolean, code = 0): void {
  out.fill(0, at, at + optBytes);
  out.writeUInt16BE(types.OPT, at + 1);
  out.writeUInt16BE(udpBytesMax, at + 3);
  out[at + 5] = code >> 4;
  if (wantsSignatures) out[at + 7] = 0x80;
}

/** An answer that is a code and the question: never longer than what it answers, but for OPT. */
export function writeRefusal({ raw, end, edns }: Omit<Refusal, "code">, code: ResponseCode): Buffer {
  const length = Math.max(end, headerBytes);
  const out = Buffer.alloc(length + (edns ? optBytes : 0));
  raw.copy(out, 0, 0, length);
  const kept = word(raw, 2) & (flags.opcode | keptFlags);
  out.writeUInt16BE(flags.response | flags.recursionAvailable | kept | (code & flags.code), 2);
  out.writeUInt16BE(end > 0 ? 1 : 0, 4);
  out.fill(0, 6, headerBytes);
  if (edns) {
    writeOpt(out, length, false, code);
    out[headerBytes - 1] = 1;
  }
  return out;
}
