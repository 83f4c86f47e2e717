/** The DNS server: UDP and TCP on each address. On TCP, questions come and answers go in any order, as fast as they are ready. */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { createServer, isIP, type Server, type Socket } from "node:net";
import type { Logger } from "#base";
import type { Answerer } from "./answers.ts";
import { frame } from "./forward/exchange.ts";

export interface DnsServerOptions {
  readonly addresses: readonly string[];
  readonly port: number;
  readonly answerer: Pick<Answerer, "answer">;
  readonly log: Logger;
}

export interface DnsServer {
  /** The port that was bound (with `port` 0, one the system chose for the first address). */
  readonly port: number;
  close(): Promise<void>;
}

/** A connection that says nothing this long is ended. */
const tcpIdleMs = 10_000;
/** For each address: protects descriptors. */
const tcpConnectionsMax = 1000;
/** Of one connection: questions that wait for upstream, and answers that nobody reads. Until they are fewer nothing more is read. */
const tcpPendingMax = 128;
const tcpUnsentBytesMax = 256 << 10;

export async function startDnsServer({ addresses, port, answerer, log }: DnsServerOptions): Promise<DnsServer> {
  const closers: (() => Promise<void>)[] = [];
  const close = async () => {
    await Promise.all(closers.splice(0).map((each) => each()));
  };
  let bound = port;
  try {
    for (const address of addresses) {
      const udp = serveUdp(address, answerer);
      closers.push(() => new Promise((done) => udp.close(done)));
      await new Promise<void>((ready, fail) => {
        udp.once("error", fail);
        udp.bind({ address, port: bound, exclusive: true }, ready);
      });
      udp.on("error", (error) => log.debug("dns: UDP answer not sent", { error }));
      bound = udp.address().port;
      const { tcp, end } = serveTcp(answerer, log);
      closers.push(end);
      await new Promise<void>((ready, fail) => {
        tcp.once("error", fail);
        tcp.listen({ host: address, port: bound }, ready);
      });
      tcp.on("error", (error) => log.error("dns: TCP socket failed", { error }));
    }
  } catch (error) {
    await close();
    throw error;
  }
  log.debug("dns: serving", { addresses, port: bound });
  return { port: bound, close };
}

function serveUdp(address: string, answerer: Pick<Answerer, "answer">): UdpSocket {
  const udp = createSocket({
    type: isIP(address) === 6 ? "udp6" : "udp4",
    // Where answers go is an address always; asking how it resolves costs a turn of the event loop each.
    lookup: (host, _options, done) => done(null, host, isIP(host)),
  });
  const isIpv6 = isIP(address) === 6;
  let isOpen = true;
  udp.on("close", () => {
    isOpen = false;
  });
  return udp.on("message", (message, from) => {
    const answer = answerer.answer(message, true, isIpv6);
    // Without a callback errors are the socket's event.
    if (Buffer.isBuffer(answer)) udp.send(answer, 0, answer.length, from.port, from.address);
    else void answer?.then((late) => isOpen && udp.send(late, 0, late.length, from.port, from.address));
  });
}

function serveTcp(answerer: Pick<Answerer, "answer">, log: Logger): { tcp: Server; end: () => Promise<void> } {
  const tcp = createServer({ noDelay: true });
  tcp.maxConnections = tcpConnectionsMax;
  const sockets = new Set<Socket>();
  tcp.on("connection", (socket) => {
    sockets.add(socket);
    socket.setTimeout(tcpIdleMs, () => socket.destroy());
    socket.on("error", (error) => log.debug("dns: connection lost", { error }));
    socket.on("close", () => sockets.delete(socket));
    serveConnection(socket, answerer);
  });
  const end = async () => {
    for (const socket of sockets) socket.destroy();
    // Ends, with an error, too, when it never listened.
    await new Promise<void>((done) => tcp.close(() => done()));
  };
  return { tcp, end };
}

function serveConnection(socket: Socket, answerer: Pick<Answerer, "answer">): void {
  let buffered: Buffer = Buffer.alloc(0);
  let pending = 0;
  const isIpv6 = socket.remoteFamily === "IPv6";
  const isFull = () => pending >= tcpPendingMax || socket.writableLength > tcpUnsentBytesMax;
  const send = (answer: Buffer) => {
    if (socket.writable) socket.write(frame(answer));
  };
  const read = () => {
    while (!isFull() && buffered.length >= 2 && buffered.length >= 2 + buffered.readUInt16BE(0)) {
      const length = buffered.readUInt16BE(0);
      const answer = answerer.answer(Buffer.from(buffered.subarray(2, 2 + length)), false, isIpv6);
      buffered = buffered.subarray(2 + length);
      if (Buffer.isBuffer(answer)) send(answer);
      else if (answer) {
        pending++;
        void answer.then((late) => {
          pending--;
          send(late);
          read();
        });
      }
    }
    if (isFull()) socket.pause();
    else if (socket.isPaused()) socket.resume();
  };
  socket.on("drain", read).on("data", (chunk: Buffer) => {
    buffered = buffered.length === 0 ? chunk : Buffer.concat([buffered, chunk]);
    read();
  });
}
