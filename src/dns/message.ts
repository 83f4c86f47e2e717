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
const soaTimes = { refresh: 7200, retry: 1800, expire: 86_400 };

export function encode(message: Message): Template {
  const { answers, authorities, additionals } = message;
  const head = flags.response | flags.recursionAvailable | message.code;
  writer.begin(head | (message.authoritative ? flags.authoritative : 0), message.name, message.type);
  const ends = [writer.length];
  for (const record of answers) if (writer.record(record, 6)) ends.push(writer.length);
  for (const record of authorities) writer.record(record, 8);
  for (const record of additionals) writer.record(record, 10);
  const [first] = answers;
  const areAddresses =
    first !== undefined && "address" in first && answers.every(({ name, type }) => !name && type === first.type);
  return { bytes: writer.copy(), ends, turnBytes: areAddresses ? ends[1]! - ends[0]! : 0 }; // the first fits always
}

/** A question of our own; the name as `Query` has it. */
export function encodeQuestion(name: string, type: number): Buffer {
  writer.begin(flags.recursionDesired, name, type);
  return writer.copy();
}

/** Names end where the question's name does, nearly always, and are compressed to pointers into it; nothing else is looked for. */
class Writer {
  #bytes = Buffer.alloc(1024);
  #isFull = false;
  /** Of the question; "" when it can't be pointed to. */
  #name = "";
  length = 0;

  begin(head: number, name: string, type: number): void {
    this.#bytes.fill(0, 0, headerBytes);
    this.length = headerBytes;
    this.#isFull = false;
    this.#name = "";
    this.#bytes.writeUInt16BE(head, 2);
    this.#bytes[5] = 1;
    this.#putName(name);
    this.#put16(type);
    this.#put16(1);
    // With backslashes in it, places in the text aren't those in the packet.
    this.#name = name.includes("\\") ? "" : name;
  }

  copy(): Buffer {
    return Buffer.from(this.#bytes.subarray(0, this.length));
  }

  /** False when the packet is full: then nothing was added. `countAt`: where its section is counted. */
  record(record: DnsRecord, countAt: number): boolean {
    const start = this.length;
    if (record.name === undefined) this.#put16(0xc000 | headerBytes);
    else this.#putName(record.name);
    this.#put16(types[record.type]);
    this.#put16(1);
    this.#put32(record.ttl);
    const dataAt = this.length + 2;
    this.#put16(0);
    this.#putData(record);
    this.#isFull ||= this.length > bytesMax;
    if (this.#isFull) {
      this.length = start;
      return false;
    }
    this.#bytes.writeUInt16BE(this.length - dataAt, dataAt - 2);
    this.#bytes.writeUInt16BE(this.#bytes.readUInt16BE(countAt) + 1, countAt);
    return true;
  }

  #putName(name: string, compress = true): void {
    this.#room(260);
    if (name.includes("\\")) {
      for (const label of labelsOf(name)) this.#putLabel(label, 0, label.length);
    } else {
      for (let at = 0; at < name.length; ) {
        const pointer = compress ? this.#pointerTo(name, at) : 0;
        if (pointer !== 0) {
          this.#put16(0xc000 | pointer);
          return;
        }
        const dot = name.indexOf(".", at);
        const end = dot < 0 ? name.length : dot;
        this.#putLabel(name, at, end);
        at = end + 1;
      }
    }
    this.#bytes[this.length++] = 0;
  }

  /** Where the rest of this name stands in the question's; 0: it doesn't. A label lies as far behind the header as in the text. */
  #pointerTo(name: string, at: number): number {
    const into = this.#name.length - (name.length - at);
    if (into < 0 || (into > 0 && this.#name.charCodeAt(into - 1) !== 0x2e)) return 0;
    for (let i = 0; at + i < name.length; i++)
      if (name.charCodeAt(at + i) !== this.#name.charCodeAt(into + i)) return 0;
    return headerBytes + into;
  }

  #putLabel(text: string, from: number, end: number): void {
    this.#bytes[this.length++] = end - from;
    for (let i = from; i < end; i++) this.#bytes[this.length++] = text.charCodeAt(i);
  }

  #putData(record: DnsRecord): void {
    switch (record.type) {
      case "A":
        this.#putAddress(record.address);
        break;
      case "AAAA":
        this.#put(addressBytes(record.address));
        break;
      case "CNAME":
      case "NS":
      case "PTR":
        this.#putName(record.target);
        break;
      case "SRV":
        this.#put16(0);
        this.#put16(record.weight);
        this.#put16(record.port);
        // RFC 2782: not compressed.
        this.#putName(record.target, false);
        break;
      case "TXT":
        this.#put(Buffer.from([record.text.length, ...Buffer.from(record.text)]));
        break;
      case "SOA":
        this.#putName(`ns.dns.${record.name}`);
        this.#putName(`hostmaster.${record.name}`);
        this.#put32(record.serial);
        this.#put32(soaTimes.refresh);
        this.#put32(soaTimes.retry);
        this.#put32(soaTimes.expire);
        this.#put32(record.ttl);
    }
  }

  #putAddress(address: string): void {
    this.#room(4);
    let byte = 0;
    for (let i = 0; i < address.length; i++) {
      const code = address.charCodeAt(i);
      if (code !== 0x2e) byte = byte * 10 + code - 0x30;
      else {
        this.#bytes[this.length++] = byte;
        byte = 0;
      }
    }
    this.#bytes[this.length++] = byte;
  }

  #put16(value: number): void {
    this.#room(2);
    this.length = this.#bytes.writeUInt16BE(value, this.length);
  }

  #put32(value: number): void {
    this.#room(4);
    this.length = this.#bytes.writeUInt32BE(value, this.length);
  }

  #put(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  #room(more: number): void {
    if (this.length + more <= this.#bytes.length) return;
    const grown = Buffer.alloc(2 * (this.length + more));
    this.#bytes.copy(grown, 0, 0, this.length);
    this.#bytes = grown;
  }
}
/** One for all: nothing stays in it between two messages. */
const writer = new Writer();

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
