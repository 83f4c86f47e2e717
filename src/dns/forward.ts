/**
 * Passes questions about others' names on to the machine's own resolvers, packet by packet, one after another until one answers.
 * A machine without resolvers (or with only itself) gets no forwarding: SERVFAIL at once instead of a time-out.
 */
import { createSocket } from "node:dgram";
import { connect, isIP } from "node:net";

export interface Forwarder {
  /** The answer with the question's id; rejects when no resolver answered. */
  ask(query: Buffer): Promise<Buffer>;
}

/** A resolver that is silent this long is given up for this question. */
const timeoutMs = 2000;
/** Questions on their way at once: protects sockets from a flood of foreign names. */
const pendingMax = 512;

export function createForwarder(resolvers: readonly string[], options: { timeoutMs?: number } = {}): Forwarder {
  const waitMs = options.timeoutMs ?? timeoutMs;
  let pending = 0;
  return {
    async ask(query) {
      if (resolvers.length === 0) throw new Error("no resolver to forward to");
      if (pending >= pendingMax) throw new Error(`more than ${pendingMax} forwarded questions at once`);
      pending++;
      try {
        let last: unknown;
        for (const resolver of resolvers) {
          try {
            const answer = await askOverUdp(resolver, query, waitMs);
            const isTruncated = ((answer[2] ?? 0) & 0x02) !== 0;
            return isTruncated ? await askOverTcp(resolver, query, waitMs) : answer;
          } catch (error) {
            last = error;
          }
        }
        throw last;
      } finally {
        pending--;
      }
    },
  };
}

function parseResolver(resolver: string): { host: string; port: number } {
  if (isIP(resolver)) return { host: resolver, port: 53 };
  const at = resolver.lastIndexOf(":");
  return { host: resolver.slice(0, at).replace(/^\[|\]$/g, ""), port: Number(resolver.slice(at + 1)) };
}

function askOverUdp(resolver: string, query: Buffer, waitMs: number): Promise<Buffer> {
  const { host, port } = parseResolver(resolver);
  const socket = createSocket(isIP(host) === 6 ? "udp6" : "udp4");
  return new Promise<Buffer>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${resolver} did not answer in ${waitMs} ms`)), waitMs);
    socket.once("error", reject);
    // A connected socket takes packets from this resolver only; the id must match as well.
    socket.on("message", (answer) => {
      if (answer.length >= 12 && answer.readUInt16BE(0) === query.readUInt16BE(0)) resolve(answer);
    });
    // Called with the error, too, when there is no way to the resolver; the types don't know.
    const connected = (error?: Error) => (error ? reject(error) : socket.send(query));
    socket.connect(port, host, connected);
    socket.once("close", () => clearTimeout(timer));
  }).finally(() => socket.close());
}

function askOverTcp(resolver: string, query: Buffer, waitMs: number): Promise<Buffer> {
  const socket = connect(parseResolver(resolver));
  const chunks: Buffer[] = [];
  return new Promise<Buffer>((resolve, reject) => {
    socket.setTimeout(waitMs, () => reject(new Error(`${resolver} did not answer in ${waitMs} ms`)));
    socket.once("error", reject).once("end", () => reject(new Error(`${resolver} ended the connection`)));
    socket.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      const all = Buffer.concat(chunks);
      if (all.length >= 2 && all.length >= 2 + all.readUInt16BE(0)) resolve(all.subarray(2, 2 + all.readUInt16BE(0)));
    });
    socket.write(frame(query));
  }).finally(() => socket.destroy());
}

/** A packet as TCP carries it: its length first. */
export function frame(packet: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(packet.length);
  return Buffer.concat([length, packet]);
}

/** The resolvers of a resolv.conf, without loopback stubs that pods can't reach and without `own` addresses. */
export function parseResolvers(resolvConf: string, own: readonly string[] = []): string[] {
  return resolvConf
    .split("\n")
    .map((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? "")
    .filter((address) => isIP(address) && !own.includes(address));
}
