/** Packets to questions and answers to packets. Bad packets never throw: they are answered with FORMERR, or not at all. */
import packet, { type Answer, type DecodedPacket } from "dns-packet";
import { type Resolution, startOfAuthority } from "./records.ts";

/** What every client takes without EDNS. */
export const udpBytesPlain = 512;
/** Above this, UDP packets get lost in fragments: more is answered by TCP. */
export const udpBytesMax = 1232;

const codes = { noError: 0, formatError: 1, serverFailure: 2, nameError: 3, notImplemented: 4, refused: 5 } as const;
export type ResponseCode = keyof typeof codes;
const authoritative = 1 << 10;
const truncated = 1 << 9;
const recursionDesired = 1 << 8;
const recursionAvailable = 1 << 7;
const opcodeMask = 0xf << 11;

export interface Query {
  readonly id: number;
  readonly name: string;
  readonly type: string;
  readonly recursion: boolean;
  /** Bytes the client takes by UDP. */
  readonly bytesMax: number;
  readonly edns: boolean;
  readonly raw: Buffer;
}

/** Undefined: not a query at all (a response, or too short to answer). A string: answer with this code. */
export function readQuery(raw: Buffer): Query | { id: number; code: ResponseCode } | undefined {
  if (raw.length < 12 || (raw.readUInt16BE(2) & 0x8000) !== 0) return undefined;
  const id = raw.readUInt16BE(0);
  let decoded: DecodedPacket;
  try {
    decoded = packet.decode(raw);
  } catch {
    return { id, code: "formatError" }; // whatever is wrong with it, the sender learns so
  }
  if ((raw.readUInt16BE(2) & opcodeMask) !== 0) return { id, code: "notImplemented" };
  const [question, ...more] = decoded.questions ?? [];
  if (!question || more.length > 0) return { id, code: "formatError" };
  const options = decoded.additionals?.find((each) => each.type === "OPT");
  const offered = options && "udpPayloadSize" in options ? Number(options.udpPayloadSize) : udpBytesPlain;
  return {
    id,
    name: question.name,
    type: question.type,
    recursion: decoded.flag_rd === true,
    bytesMax: Math.min(Math.max(offered, udpBytesPlain), udpBytesMax),
    edns: options !== undefined,
    raw,
  };
}

export function writeFailure(query: { id: number } & Partial<Query>, code: ResponseCode): Buffer {
  const questions = query.name === undefined ? [] : [questionOf(query as Query)]; // name comes with all of a Query
  return packet.encode({
    type: "response",
    id: query.id,
    flags: codes[code] | (query.recursion ? recursionDesired : 0),
    questions,
  });
}

/** `bytesMax` missing: TCP, nothing is left out. */
export function writeAnswer(
  query: Query,
  resolution: Resolution,
  { domain, bytesMax }: { domain: string; bytesMax?: number },
): Buffer {
  const negative = resolution.result !== "found" || resolution.answers.length === 0;
  const code = resolution.result === "missing" ? codes.nameError : codes.noError;
  const flags = code | authoritative | recursionAvailable | (query.recursion ? recursionDesired : 0);
  const encode = (answers: Answer[], additionals: Answer[], moreFlags = 0) =>
    packet.encode({
      type: "response",
      id: query.id,
      flags: flags | moreFlags,
      questions: [questionOf(query)],
      answers,
      authorities: negative ? [startOfAuthority(domain)] : [],
      additionals: query.edns ? [...additionals, edns] : additionals,
    });
  const whole = encode(resolution.answers, resolution.additionals);
  if (bytesMax === undefined || whole.length <= bytesMax) return whole;
  const withoutHints = encode(resolution.answers, []);
  if (withoutHints.length <= bytesMax) return withoutHints;
  // As many answers as fit, and the flag that tells the client to ask again by TCP.
  let fits = resolution.answers.length - 1;
  while (fits > 0 && encode(resolution.answers.slice(0, fits), [], truncated).length > bytesMax) fits--;
  return encode(resolution.answers.slice(0, fits), [], truncated);
}

const edns: Answer = {
  type: "OPT",
  name: ".",
  udpPayloadSize: udpBytesMax,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
};

// The type was a type of the same library when it was read.
const questionOf = ({ name, type }: Query) => ({ name, type: type as "A", class: "IN" as const });

/** Answers of a response from upstream; empty when it can't be read. */
export function readAnswers(raw: Buffer): Answer[] {
  try {
    return packet.decode(raw).answers ?? [];
  } catch {
    return []; // an upstream that answers rubbish answers nothing
  }
}
