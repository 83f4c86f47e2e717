/**
 * One question to one other server: by UDP, and by TCP when the answer didn't fit. Each question has a socket of its own, so that its port is
 * the kernel's random choice, and a random id; connected, so that only this server's packets arrive. Packets that answer something else
 * are as if they hadn't come.
 */
import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { connect, isIP } from "node:net";
import { encodeQuestion } from "../message.ts";
import { codes, udpBytesMax } from "../wire.ts";
import { type Asked, type Response, readResponse } from "./response.ts";

export interface Server {
  readonly host: string;
  readonly port: number;
}

export interface ForwardQuestion {
  /** As `Query` has it. */
  readonly name: string;
  readonly type: number;
  /** EDNS' DO. */
  readonly wantsSignatures?: boolean;
}

/** `10.0.0.1`, `10.0.0.1:5353`, `fd00::1`, `[fd00::1]:53`; undefined when it is none of them. */
export function parseServer(text: string): Server | undefined {
  if (isIP(text)) return { host: text, port: 53 };
  const [, host = "", port = ""] = /^(.*):(\d+)$/.exec(text) ?? [];
  const bare = host.startsWith("[") && host.endsWith("]") ? host.slice(1, -1) : host;
  const isBare = bare === host ? isIP(bare) === 4 : isIP(bare) === 6;
  return isBare && Number(port) > 0 && Number(port) < 65_536 ? { host: bare, port: Number(port) } : undefined;
}

export const printServer = ({ host, port }: Server): string =>
  isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;

function questionOf({ name, type, wantsSignatures = false }: ForwardQuestion, edns: boolean): Asked {
  const plain = encodeQuestion(name, type);
  const opt = Buffer.from([0, 0, 41, udpBytesMax >> 8, udpBytesMax & 0xff, 0, 0, wantsSignatures ? 0x80 : 0, 0, 0, 0]);
  const packet = edns ? Buffer.concat([plain, opt]) : plain;
  if (edns) packet.writeUInt16BE(1, 10);
  packet.writeUInt16BE(randomInt(0x10000), 0);
  return { packet, end: plain.length };
}

/** Rejects when the server doesn't answer in time, can't be reached, or answers what can't be read. */
export async function exchange(server: Server, question: ForwardQuestion, waitMs: number): Promise<Response> {
  const answer = await once(server, questionOf(question, true), waitMs);
  // Servers from before EDNS.
  const isOld = answer.code === codes.formatError || answer.code === codes.notImplemented;
  return isOld ? once(server, questionOf(question, false), waitMs) : answer;
}

async function once(server: Server, asked: Asked, waitMs: number): Promise<Response> {
  const answer = await overUdp(server, asked, waitMs);
  return answer.isTruncated ? overTcp(server, asked, waitMs) : answer;
}

const silent = (server: Server, waitMs: number) => new Error(`${printServer(server)} did not answer in ${waitMs} ms`);

function overUdp(server: Server, asked: Asked, waitMs: number): Promise<Response> {
  const socket = createSocket({
    type: isIP(server.host) === 6 ? "udp6" : "udp4",
    lookup: (host, _options, done) => done(null, host, isIP(host)),
  });
  return new Promise<Response>((resolve, reject) => {
    const timer = setTimeout(() => reject(silent(server, waitMs)), waitMs);
    socket.once("error", reject).once("close", () => clearTimeout(timer));
    socket.on("message", (raw) => {
      const response = readResponse(raw, asked, performance.now());
      if (response === "other") return;
      if (response === "broken") reject(new Error(`${printServer(server)} sent an answer that can't be read`));
      else resolve(response);
    });
    // Called with the error, too, when there is no way to the server; the types don't know.
    const connected = (error?: Error) => (error ? reject(error) : socket.send(asked.packet));
    socket.connect(server.port, server.host, connected);
  }).finally(() => socket.close());
}

function overTcp(server: Server, asked: Asked, waitMs: number): Promise<Response> {
  const socket = connect(server);
  const chunks: Buffer[] = [];
  return new Promise<Response>((resolve, reject) => {
    const timer = setTimeout(() => reject(silent(server, waitMs)), waitMs);
    const ended = () => reject(new Error(`${printServer(server)} ended the connection`));
    socket
      .once("error", reject)
      .once("end", ended)
      .once("close", () => clearTimeout(timer));
    socket.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      const all = Buffer.concat(chunks);
      const length = all.length < 2 ? Number.POSITIVE_INFINITY : all.readUInt16BE(0);
      if (all.length < 2 + length) return;
      const response = readResponse(all.subarray(2, 2 + length), asked, performance.now());
      if (typeof response === "string") reject(new Error(`${printServer(server)} sent an answer that can't be used`));
      else resolve(response);
    });
    socket.write(frame(asked.packet));
  }).finally(() => socket.destroy());
}

/** A packet as TCP carries it: its length first. */
export function frame(packet: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(packet.length);
  return Buffer.concat([length, packet]);
}
