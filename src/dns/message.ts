/** Records to bytes, with names compressed; what `finish` of wire.ts makes answers of. */
import { isIP } from "node:net";
import { flags, headerBytes, type ResponseCode, type Template, types } from "./wire.ts";

interface Named {
  /** Absent: the name that was asked for. */
  readonly name?: string;
  readonly ttl: number;
}
export type DnsRecord = Named &
  (
    | { readonly type: "A" | "AAAA"; readonly address: string }
    | { readonly type: "CNAME" | "NS" | "PTR"; readonly target: string }
    | { readonly type: "SRV"; readonly weight: number; readonly port: number; readonly target: string }
    | { readonly type: "TXT"; readonly text: string }
    | { readonly type: "SOA"; readonly serial: number }
  );

export interface Message {
  readonly name: string;
  readonly type: number;
  readonly code: ResponseCode;
  readonly authoritative: boolean;
  readonly answers: readonly DnsRecord[];
  readonly authorities: readonly DnsRecord[];
  readonly additionals: readonly DnsRecord[];
}

/** As many bytes as a TCP answer may have; more records are left out. */
const bytesMax = 65_535 - 32;
/** Pointers reach no further. */
const pointerMax = 0x3fff;
const soaTimes = { refresh: 7200, retry: 1800, expire: 86_400 };

export function encode(message: Message): Template {
  const writer = new Writer();
  const { answers, authorities, additionals } = message;
  writer.words(0, flags.response | flags.recursionAvailable | message.code, 1, 0, 0, 0);
  writer.name(message.name);
  writer.words(message.type, 1);
  const ends = [writer.length];
  const counts = [answers, authorities, additionals].map((records, section) => {
    let count = 0;
    for (const record of records) {
      if (!writer.record(record)) break;
      count++;
      if (section === 0) ends.push(writer.length);
    }
    return count;
  });
  const bytes = Buffer.from(writer.take());
  const authoritative = message.authoritative ? flags.authoritative : 0;
  bytes.writeUInt16BE(bytes.readUInt16BE(2) | authoritative, 2);
  for (const [at, count] of counts.entries()) bytes.writeUInt16BE(count, 6 + 2 * at);
  const [first] = answers;
  const addresses = first && answers.every(({ name, type }) => name === undefined && type === first.type);
  const turnBytes = addresses && "address" in first ? (ends[1] ?? 0) - (ends[0] ?? 0) : 0;
  return { bytes, ends, turnBytes };
}

/** A question of our own; the name as `Query` has it. */
export function encodeQuestion(name: string, type: number): Buffer {
  const writer = new Writer();
  writer.words(0, flags.recursionDesired, 1, 0, 0, 0);
  writer.name(name);
  writer.words(type, 1);
  return Buffer.from(writer.take());
}

class Writer {
  #bytes = Buffer.allocUnsafe(512);
  length = 0;
  #isFull = false;
  /** Names that stand in the packet already, with all of their ends. */
  readonly #seen = new Map<string, number>();

  take(): Buffer {
    return this.#bytes.subarray(0, this.length);
  }

  words(...words: number[]): void {
    this.#room(2 * words.length);
    for (const each of words) this.length = this.#bytes.writeUInt16BE(each, this.length);
  }

  name(name: string, compress = true): void {
    this.#room(260);
    const labels = name === "" ? [] : labelsOf(name);
    for (let i = 0; i < labels.length; i++) {
      const rest = labels.slice(i).join("\0");
      const seen = compress ? this.#seen.get(rest) : undefined;
      if (seen !== undefined) {
        this.words(0xc000 | seen);
        return;
      }
      if (this.length <= pointerMax) this.#seen.set(rest, this.length);
      const label = labels[i]!; // inside
      this.#bytes[this.length++] = label.length;
      this.length += this.#bytes.write(label, this.length, "latin1");
    }
    this.#bytes[this.length++] = 0;
  }

  /** False when the packet is full: then nothing was added. */
  record(record: DnsRecord): boolean {
    const start = this.length;
    if (record.name === undefined) this.words(0xc000 | headerBytes);
    else this.name(record.name);
    this.words(types[record.type], 1, record.ttl >>> 16, record.ttl & 0xffff, 0);
    const dataAt = this.length;
    this.#data(record);
    // What was rolled back may be pointed to: nothing comes after it.
    this.#isFull ||= this.length > bytesMax;
    if (this.#isFull) {
      this.length = start;
      return false;
    }
    this.#bytes.writeUInt16BE(this.length - dataAt, dataAt - 2);
    return true;
  }

  #data(record: DnsRecord): void {
    switch (record.type) {
      case "A":
      case "AAAA":
        this.#put(addressBytes(record.address));
        break;
      case "CNAME":
      case "NS":
      case "PTR":
        this.name(record.target);
        break;
      case "SRV":
        this.words(0, record.weight, record.port);
        // RFC 2782: not compressed.
        this.name(record.target, false);
        break;
      case "TXT":
        this.#put(Buffer.from([record.text.length, ...Buffer.from(record.text)]));
        break;
      case "SOA": {
        const zone = record.name ?? "";
        this.name(`ns.dns.${zone}`);
        this.name(`hostmaster.${zone}`);
        const { refresh, retry, expire } = soaTimes;
        for (const each of [record.serial, refresh, retry, expire, record.ttl])
          this.words((each >>> 16) & 0xffff, each & 0xffff);
      }
    }
  }

  #put(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  #room(more: number): void {
    if (this.length + more <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(2 * (this.length + more));
    this.#bytes.copy(grown, 0, 0, this.length);
    this.#bytes = grown;
  }
}

const labelsOf = (name: string): string[] =>
  name.includes("\\")
    ? [...name.matchAll(/((?:\\[\s\S]|[^\\.])+)(?:\.|$)/g)].map(([, label = ""]) => label.replace(/\\([\s\S])/g, "$1"))
    : name.split(".");

/** 4 or 16 bytes of an address that isIP knows. */
export function addressBytes(address: string): Uint8Array {
  if (isIP(address) !== 6) return Uint8Array.from(address.split("."), Number);
  const bytes = new Uint8Array(16);
  // A tail in the form of IPv4 is two groups.
  const plain = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) =>
    [Number(a) * 256 + Number(b), Number(c) * 256 + Number(d)].map((group) => group.toString(16)).join(":"),
  );
  const [head = "", tail] = plain.replace(/%.*$/, "").split("::");
  const groups = (text: string) => (text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16)));
  const put = (values: number[], at: number) => {
    for (const [i, value] of values.entries()) bytes.set([value >> 8, value & 0xff], at + 2 * i);
  };
  put(groups(head), 0);
  if (tail !== undefined) put(groups(tail), 16 - 2 * groups(tail).length);
  return bytes;
}
