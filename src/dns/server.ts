/** The DNS server: UDP and TCP on one address, records from the cluster, everything else forwarded. */
import { createSocket, type RemoteInfo } from "node:dgram";
import { createServer, type Socket } from "node:net";
import type { Logger } from "#base";
import type { Answer } from "dns-packet";
import { type Forwarder, frame } from "./forward.ts";
import { type Resolution, resolve } from "./records.ts";
import { type Query, readAnswers, readQuery, writeAnswer, writeFailure } from "./wire.ts";
import type { Zone } from "./zone.ts";

export interface DnsServerOptions {
  readonly address: string;
  readonly port: number;
  readonly domain: string;
  readonly zone: Zone;
  readonly forwarder: Forwarder;
  readonly log: Logger;
}

export interface DnsServer {
  /** The port that was bound (with `port` 0, one the system chose). */
  readonly port: number;
  close(): Promise<void>;
}

/** A TCP client that is silent this long is disconnected; frees its socket. */
const tcpIdleMs = 10_000;
/** Protects memory from clients that open connections and don't go. */
const tcpConnectionsMax = 1_024;

export async function startDnsServer(options: DnsServerOptions): Promise<DnsServer> {
  const { address, domain, log } = options;
  const udp = createSocket({ type: address.includes(":") ? "udp6" : "udp4" });
  const tcp = createServer({ noDelay: true });
  tcp.maxConnections = tcpConnectionsMax;

  udp.on("message", (message, from: RemoteInfo) => {
    const send = (answer: Buffer) =>
      udp.send(answer, from.port, from.address, (error) => {
        if (error) log.debug("dns: answer not sent", { to: from.address, error });
      });
    answerTo(message, { ...options, udp: true }, send);
  });
  const sockets = new Set<Socket>();
  tcp.on("connection", (socket) => {
    sockets.add(socket);
    socket.setTimeout(tcpIdleMs, () => socket.destroy());
    socket.on("error", (error) => log.debug("dns: connection lost", { error }));
    socket.on("close", () => sockets.delete(socket));
    readFrames(socket, (message) =>
      answerTo(message, { ...options, udp: false }, (answer) => socket.write(frame(answer))),
    );
  });

  try {
    await new Promise<void>((ready, fail) => {
      udp.once("error", fail);
      udp.bind({ address, port: options.port }, ready);
    });
    await new Promise<void>((ready, fail) => {
      tcp.once("error", fail);
      tcp.listen({ host: address, port: udp.address().port }, ready);
    });
  } catch (error) {
    udp.close();
    throw error;
  }
  const { port } = udp.address();
  udp.on("error", (error) => log.error("dns: UDP socket failed", { error }));
  tcp.on("error", (error) => log.error("dns: TCP socket failed", { error }));
  log.debug("dns: serving", { address, port, domain });

  let closing: Promise<void> | undefined;
  return {
    port,
    close() {
      closing ??= (async () => {
        for (const socket of sockets) socket.destroy();
        await Promise.all([
          new Promise<void>((done) => udp.close(done)),
          new Promise<void>((done) => tcp.close(() => done())),
        ]);
      })();
      return closing;
    },
  };
}

function readFrames(socket: Socket, onMessage: (message: Buffer) => void): void {
  let buffered: Buffer = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    buffered = buffered.length === 0 ? chunk : Buffer.concat([buffered, chunk]);
    while (buffered.length >= 2 && buffered.length >= 2 + buffered.readUInt16BE(0)) {
      const length = buffered.readUInt16BE(0);
      onMessage(buffered.subarray(2, 2 + length));
      buffered = buffered.subarray(2 + length);
    }
  });
}

type AnswerOptions = Pick<DnsServerOptions, "zone" | "domain" | "forwarder" | "log"> & { udp: boolean };

function answerTo(message: Buffer, options: AnswerOptions, send: (answer: Buffer) => void): void {
  const query = readQuery(message);
  if (!query) return;
  if ("code" in query) {
    send(writeFailure(query, query.code));
    return;
  }
  const resolution = resolve(query, options);
  const write = (final: Resolution) => {
    const limit = options.udp ? { bytesMax: query.bytesMax } : {};
    send(writeAnswer(query, { ...final, answers: rotate(final.answers) }, { domain: options.domain, ...limit }));
  };
  if (resolution && !resolution.follow) {
    write(resolution);
    return;
  }
  const pending = resolution ? follow(query, resolution, options).then(write) : forward(query, options).then(send);
  pending.catch((error: unknown) => {
    options.log.debug("dns: not resolved", { name: query.name, error });
    send(writeFailure(query, "serverFailure"));
  });
}

const forward = (query: Query, { forwarder }: AnswerOptions): Promise<Buffer> => forwarder.ask(query.raw);

/** A CNAME out of the cluster (or to another name in it): adds the target's addresses, or leaves the CNAME alone. */
async function follow(query: Query, resolution: Resolution, options: AnswerOptions): Promise<Resolution> {
  const target = resolution.follow ?? "";
  const inside = resolve({ name: target, type: query.type }, options);
  if (inside) return { ...resolution, answers: [...resolution.answers, ...inside.answers] };
  try {
    const asked = writeQuestion(query, target);
    const more = readAnswers(await options.forwarder.ask(asked));
    return { ...resolution, answers: [...resolution.answers, ...more] };
  } catch (error) {
    options.log.debug("dns: target of a CNAME not resolved", { target, error });
    return resolution;
  }
}

/** The client's question about another name: same id and flags. */
function writeQuestion(query: Query, name: string): Buffer {
  const labels = name.split(".").map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  const header = Buffer.from(query.raw.subarray(0, 12));
  header.writeUInt16BE(1, 4);
  header.fill(0, 6, 12);
  const typeAndClass = Buffer.from([0, query.type === "AAAA" ? 28 : 1, 0, 1]);
  return Buffer.concat([header, ...labels, Buffer.from([0]), typeAndClass]);
}

/** Several addresses in turn, so that clients which take the first spread themselves. A leading CNAME stays first. */
function rotate(answers: Answer[]): Answer[] {
  if (answers.length < 2 || answers.some(({ type }) => type === "CNAME")) return answers;
  const from = Math.floor(Math.random() * answers.length);
  return [...answers.slice(from), ...answers.slice(0, from)];
}
