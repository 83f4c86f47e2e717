/**
 * D-Bus messages, as much as a client of a few calls and signals needs: numbers, texts, variants, lists and structures, in either byte
 * order. No file descriptors: Node.js can't receive them.
 */

export interface DbusMessage {
  readonly type: "call" | "reply" | "error" | "signal";
  readonly serial: number;
  readonly replySerial?: number;
  readonly path?: string;
  readonly interface?: string;
  readonly member?: string;
  readonly errorName?: string;
  readonly destination?: string;
  readonly sender?: string;
  readonly signature: string;
  readonly body: readonly unknown[];
}

const types = ["call", "reply", "error", "signal"] as const;
/** By field code: what it is called here, and its type. */
const fields = [
  ["path", "o"],
  ["interface", "s"],
  ["member", "s"],
  ["errorName", "s"],
  ["replySerial", "u"],
  ["destination", "s"],
  ["sender", "s"],
  ["signature", "g"],
] as const;

/** The protocol's own. */
const messageBytesMax = 128 * 2 ** 20;

const alignments: Readonly<Record<string, number>> = { y: 1, g: 1, v: 1, n: 2, q: 2, x: 8, t: 8, d: 8, "(": 8, "{": 8 };
const alignmentOf = (type: string): number => alignments[type[0] ?? ""] ?? 4;

/** `a{sv}u` is `a{sv}`, `u`. */
function splitSignature(signature: string): string[] {
  const parts: string[] = [];
  for (let at = 0; at < signature.length; ) {
    let end = at;
    while (signature[end] === "a") end++;
    const open = signature[end];
    if (open === "(" || open === "{")
      for (let depth = 0; ; ) {
        const char = signature[end] ?? "";
        if (char === "(" || char === "{") depth++;
        if (char === ")" || char === "}") depth--;
        if (depth === 0 || end >= signature.length) break;
        end++;
      }
    parts.push(signature.slice(at, end + 1));
    at = end + 1;
  }
  return parts;
}

export interface Variant {
  readonly signature: string;
  readonly value: unknown;
}

/** Little endian. */
function createWriter() {
  const chunks: Buffer[] = [];
  let length = 0;
  const push = (chunk: Buffer): void => {
    chunks.push(chunk);
    length += chunk.length;
  };
  const align = (to: number): void => push(Buffer.alloc((to - (length % to)) % to));
  const number = (bytes: number, fill: (buffer: Buffer) => void): void => {
    align(bytes);
    const buffer = Buffer.alloc(bytes);
    fill(buffer);
    push(buffer);
  };
  function write(type: string, value: unknown): void {
    switch (type[0]) {
      case "y":
        push(Buffer.from([value as number])); // as the signature says, here and below
        return;
      case "b":
        number(4, (buffer) => buffer.writeUInt32LE(value ? 1 : 0));
        return;
      case "u":
        number(4, (buffer) => buffer.writeUInt32LE(value as number));
        return;
      case "i":
        number(4, (buffer) => buffer.writeInt32LE(value as number));
        return;
      case "t":
        number(8, (buffer) => buffer.writeBigUInt64LE(BigInt(value as number | bigint)));
        return;
      case "s":
      case "o": {
        const text = Buffer.from(value as string);
        number(4, (buffer) => buffer.writeUInt32LE(text.length));
        push(Buffer.concat([text, Buffer.alloc(1)]));
        return;
      }
      case "g": {
        const text = Buffer.from(value as string);
        push(Buffer.concat([Buffer.from([text.length]), text, Buffer.alloc(1)]));
        return;
      }
      case "v": {
        const { signature, value: inner } = value as Variant;
        write("g", signature);
        write(signature, inner);
        return;
      }
      case "(": {
        align(8);
        splitSignature(type.slice(1, -1)).forEach((part, index) => void write(part, (value as unknown[])[index]));
        return;
      }
      case "a": {
        // Its length is known afterwards; items begin aligned, and that gap doesn't count.
        const item = type.slice(1);
        const sizeAt = createSizedGap();
        align(alignmentOf(item));
        const start = length;
        for (const each of value as unknown[]) write(item, each);
        sizeAt(length - start);
        return;
      }
      default:
        throw new Error(`D-Bus type ${type} can't be written`);
    }
  }
  function createSizedGap(): (size: number) => void {
    align(4);
    const gap = Buffer.alloc(4);
    push(gap);
    return (size) => void gap.writeUInt32LE(size);
  }
  return { write, align, bytes: () => Buffer.concat(chunks) };
}

export function encodeMessage(
  message: Omit<DbusMessage, "body" | "signature"> & { signature?: string; body?: readonly unknown[] },
): Buffer {
  const { signature = "", body = [] } = message;
  const content = createWriter();
  splitSignature(signature).forEach((type, index) => void content.write(type, body[index]));
  const bytes = content.bytes();
  const known = { ...message, signature: signature || undefined };
  const head = createWriter();
  head.write("y", "l".charCodeAt(0));
  head.write("y", types.indexOf(message.type) + 1);
  head.write("y", 0);
  head.write("y", 1);
  head.write("u", bytes.length);
  head.write("u", message.serial);
  const given = fields.flatMap(([name, type], index) =>
    known[name] === undefined ? [] : [[index + 1, { signature: type, value: known[name] }]],
  );
  head.write("a(yv)", given);
  head.align(8);
  return Buffer.concat([head.bytes(), bytes]);
}

function createReader(buffer: Buffer, isLittle: boolean) {
  let at = 0;
  const align = (to: number): void => {
    at += (to - (at % to)) % to;
  };
  const number = <T>(bytes: number, little: (at: number) => T, big: (at: number) => T): T => {
    align(bytes);
    const value = isLittle ? little(at) : big(at);
    at += bytes;
    return value;
  };
  const u32 = () =>
    number(
      4,
      (from) => buffer.readUInt32LE(from),
      (from) => buffer.readUInt32BE(from),
    );
  const text = (length: number): string => {
    const value = buffer.toString("utf8", at, at + length);
    at += length + 1;
    return value;
  };
  function read(type: string): unknown {
    switch (type[0]) {
      case "y":
        return buffer.readUInt8(at++);
      case "b":
        return u32() !== 0;
      case "u":
      case "h":
        return u32();
      case "i":
        return number(
          4,
          (from) => buffer.readInt32LE(from),
          (from) => buffer.readInt32BE(from),
        );
      case "n":
        return number(
          2,
          (from) => buffer.readInt16LE(from),
          (from) => buffer.readInt16BE(from),
        );
      case "q":
        return number(
          2,
          (from) => buffer.readUInt16LE(from),
          (from) => buffer.readUInt16BE(from),
        );
      case "x":
        return number(
          8,
          (from) => buffer.readBigInt64LE(from),
          (from) => buffer.readBigInt64BE(from),
        );
      case "t":
        return number(
          8,
          (from) => buffer.readBigUInt64LE(from),
          (from) => buffer.readBigUInt64BE(from),
        );
      case "d":
        return number(
          8,
          (from) => buffer.readDoubleLE(from),
          (from) => buffer.readDoubleBE(from),
        );
      case "s":
      case "o":
        return text(u32());
      case "g":
        return text(buffer.readUInt8(at++));
      case "v": {
        const signature = read("g") as string; // as read
        return { signature, value: read(signature) } satisfies Variant;
      }
      case "(":
      case "{":
        align(8);
        return splitSignature(type.slice(1, -1)).map(read);
      case "a": {
        const size = u32();
        align(alignmentOf(type.slice(1)));
        const items: unknown[] = [];
        for (const end = at + size; at < end; ) items.push(read(type.slice(1)));
        return items;
      }
      default:
        throw new Error(`D-Bus type ${type} can't be read`);
    }
  }
  return { read, align, at: () => at };
}

/** The first message of the bytes and how long it is; undefined: there is more to come. Throws when it is no message. */
export function decodeMessage(buffer: Buffer): { message: DbusMessage; length: number } | undefined {
  if (buffer.length < 16) return undefined;
  const isLittle = buffer[0] === "l".charCodeAt(0);
  const sizes = createReader(buffer, isLittle);
  const [, type, , , bodyLength, serial, fieldsLength] = [..."yyyyuuu"].map((each) => sizes.read(each) as number);
  const bodyAt = Math.ceil((16 + (fieldsLength ?? 0)) / 8) * 8;
  const length = bodyAt + (bodyLength ?? 0);
  const kind = types[(type ?? 0) - 1];
  if (length > messageBytesMax || !kind) throw new Error(`a D-Bus message of type ${type} and ${length} bytes`);
  if (buffer.length < length) return undefined;
  const head = createReader(buffer.subarray(0, bodyAt), isLittle);
  for (const each of "yyyyuu") head.read(each);
  const given = head.read("a(yv)") as [code: number, Variant][]; // as the type says
  const found = Object.fromEntries(given.map(([code, { value }]) => [fields[code - 1]?.[0] ?? "unknown", value]));
  const signature = String(found.signature ?? "");
  // Alignment counts from the message's beginning, which is a multiple of eight before the body.
  const content = createReader(buffer.subarray(bodyAt, length), isLittle);
  const body = splitSignature(signature).map((each) => content.read(each));
  return { message: { ...found, type: kind, serial: serial ?? 0, signature, body }, length };
}
