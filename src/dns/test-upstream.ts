/** For tests: another DNS server on loopback, and questions to ours. */
import { createSocket } from "node:dgram";
import { connect, createServer } from "node:net";
import type { TestContext } from "node:test";
import packet, { type Answer, type DecodedPacket } from "dns-packet";
import { frame } from "./forward/exchange.ts";

export type Answered = DecodedPacket & { code: number };
/** The library decodes the code as well, its types don't know. */
export const decode = (raw: Buffer): Answered => ({ ...packet.decode(raw), code: (raw[3] ?? 0) & 0xf });
export const dataOf = (answers: readonly Answer[] | undefined): unknown[] =>
  (answers ?? []).map((each) => ("data" in each ? each.data : undefined));

export const query = (name: string, type = "A", more: object = {}): Buffer =>
  packet.encode({
    ...{ type: "query", id: 7, flags: packet.RECURSION_DESIRED, questions: [{ name, type: type as "A" }] },
    ...more,
  });

export interface Upstream {
  /** `127.0.0.1:PORT`. */
  readonly address: string;
  /** Names asked for, by UDP and TCP. */
  readonly asked: string[];
  close(): Promise<void>;
}

/** What it says: packets to send for a question; none is silence. */
export type Say = (question: {
  id: number;
  name: string;
  type: string;
  udp: boolean;
  raw: Buffer;
}) => readonly Buffer[];

export const answerWith =
  (answers: readonly Partial<Answer>[], more: object = {}): Say =>
  ({ id, name, type }) => [
    packet.encode({
      ...{ type: "response", id, questions: [{ name, type: type as "A" }] },
      answers: answers.map((each) => ({ name, type: "A", ttl: 60, ...each }) as Answer), // what the test says
      ...more,
    }),
  ];

export async function startUpstream(t: TestContext, say: Say): Promise<Upstream> {
  const asked: string[] = [];
  const reply = (raw: Buffer, udp: boolean) => {
    const { id = 0, questions = [] } = packet.decode(raw);
    const [{ name = "", type = "A" } = {}] = questions;
    if (type !== "HINFO") asked.push(name);
    return type === "HINFO"
      ? answerWith([], { flags: 3 })({ id, name, type, udp, raw })
      : say({ id, name, type, udp, raw });
  };
  const udp = createSocket("udp4");
  udp.on("message", (raw, from) => {
    for (const each of reply(raw, true)) udp.send(each, from.port, from.address);
  });
  await new Promise<void>((ready) => udp.bind(0, "127.0.0.1", ready));
  const { port } = udp.address();
  const tcp = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      for (const each of reply(chunk.subarray(2), false)) socket.write(frame(each));
    });
  });
  await new Promise<void>((ready) => tcp.listen(port, "127.0.0.1", ready));
  let isOpen = true;
  const close = async () => {
    if (!isOpen) return;
    isOpen = false;
    await Promise.all([new Promise<void>((done) => udp.close(done)), new Promise((done) => tcp.close(done))]);
  };
  t.after(close);
  return { address: `127.0.0.1:${port}`, asked, close };
}

export function overUdp(port: number, message: Buffer): Promise<Buffer> {
  const socket = createSocket("udp4");
  return new Promise<Buffer>((resolve, reject) => {
    socket.once("message", resolve).once("error", reject);
    socket.send(message, port, "127.0.0.1");
  }).finally(() => socket.close());
}

/** Sends all at once, byte by byte (frames come in any pieces), and takes as many answers in the order they come. */
export function overTcp(port: number, messages: readonly Buffer[]): Promise<Buffer[]> {
  const socket = connect(port, "127.0.0.1");
  const answers: Buffer[] = [];
  return new Promise<Buffer[]>((resolve, reject) => {
    let buffered: Buffer = Buffer.alloc(0);
    socket.on("error", reject).on("data", (chunk: Buffer) => {
      buffered = Buffer.concat([buffered, chunk]);
      while (buffered.length >= 2 && buffered.length >= 2 + buffered.readUInt16BE(0)) {
        answers.push(buffered.subarray(2, 2 + buffered.readUInt16BE(0)));
        buffered = buffered.subarray(2 + buffered.readUInt16BE(0));
      }
      if (answers.length === messages.length) resolve(answers);
    });
    for (const message of messages) for (const byte of frame(message)) socket.write(Buffer.from([byte]));
  }).finally(() => socket.destroy());
}
