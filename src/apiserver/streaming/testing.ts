/** A kubelet for tests: real TLS, real upgrades, and a runtime behind it that says what the test tells it to. */
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { createAuthority, issueCertificate, type KeyPair } from "../security/certificates.ts";
import { controlFrame, dataFrame, headersOf, numbers, type ReadFrame, takeFrames } from "./spdy/testing.ts";

export interface FakeKubelet {
  readonly port: number;
  readonly authority: KeyPair;
  /** Signed by the same authority. */
  readonly client: KeyPair;
  /** Requests so far: method, path, and the headers that came. */
  readonly requests: IncomingMessage[];
  answer: (request: IncomingMessage, response: ServerResponse) => void;
  upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
  /** Resolves when this many connections have been closed. */
  close(): Promise<void>;
}

export async function startFakeKubelet(): Promise<FakeKubelet> {
  const now = Date.now();
  const authority = await createAuthority("test", { now, validDays: 1 });
  const leaf = { validDays: 1, now };
  const [server, client] = await Promise.all([
    issueCertificate(authority, { ...leaf, commonName: "n1", usages: ["server"], ipAddresses: ["127.0.0.1"] }),
    issueCertificate(authority, { ...leaf, commonName: "api", organizations: ["system:masters"], usages: ["client"] }),
  ]);
  const sockets = new Set<Duplex>();
  const requests: IncomingMessage[] = [];
  const listener = createServer({
    key: server.key,
    cert: server.certificate,
    ca: authority.certificate,
    requestCert: true,
    rejectUnauthorized: true,
  });
  listener.on("secureConnection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
  });
  listener.on("request", (request, response) => {
    requests.push(request);
    kubelet.answer(request, response);
  });
  listener.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    requests.push(request);
    kubelet.upgrade(request, socket, head);
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const kubelet: FakeKubelet = {
    port: (listener.address() as AddressInfo).port,
    authority,
    client,
    requests,
    answer: (_request, response) => void response.writeHead(404).end("404: Page Not Found"),
    upgrade: (_request, socket) => void socket.end("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"),
    async close() {
      for (const socket of sockets) socket.destroy();
      listener.close();
      await once(listener, "close");
    },
  };
  return kubelet;
}

const spdyHead = (protocol: string): string =>
  `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${protocol}\r\n\r\n`;

/** The runtime's end of a SPDY connection. */
export class FakeRuntime {
  readonly socket: Duplex;
  /** Stream ids by type. */
  readonly streams = new Map<string, number>();
  /** What came on each stream so far. */
  readonly received = new Map<string, string>();
  readonly ended = new Set<string>();
  readonly frames: ReadFrame[] = [];
  #rest: Buffer = Buffer.alloc(0);
  #changed = (): void => undefined;

  constructor(
    socket: Duplex,
    { head = Buffer.alloc(0), protocol = "v4.channel.k8s.io" }: { head?: Buffer; protocol?: string } = {},
  ) {
    this.socket = socket;
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("close", () => this.#changed());
    socket.write(spdyHead(protocol));
    if (head.length > 0) socket.unshift(head);
  }

  /** Resolves when `look` is true; looks again when anything came. */
  async until(look: () => boolean): Promise<void> {
    while (!look()) {
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  say(type: string, text: Buffer | string, options?: { fin?: boolean }): boolean {
    return this.socket.write(dataFrame(this.streams.get(type) ?? 0, text, options));
  }

  /** As runtimes end a command: outputs, status, then a reset of what is left. */
  finish(status: object): void {
    for (const type of ["stdout", "stderr"]) if (this.streams.has(type)) this.say(type, "", { fin: true });
    this.say("error", JSON.stringify(status));
    for (const id of this.streams.values()) this.socket.write(controlFrame(3, numbers(id, 5)));
    this.socket.end();
  }

  #read(chunk: Buffer): void {
    const { frames, rest } = takeFrames(Buffer.concat([this.#rest, chunk]));
    this.#rest = rest;
    for (const frame of frames) {
      this.frames.push(frame);
      if (frame.type === 1) {
        const type = headersOf(frame, { first: this.streams.size === 0 }).streamtype ?? "";
        this.streams.set(type, frame.streamId);
        this.socket.write(controlFrame(2, Buffer.concat([numbers(frame.streamId), Buffer.from("no headers")])));
      } else if (frame.type === 0) {
        const type = [...this.streams].find(([, id]) => id === frame.streamId)?.[0] ?? "";
        this.received.set(type, (this.received.get(type) ?? "") + frame.body.toString());
        if (frame.fin) this.ended.add(type);
      }
    }
    this.#changed();
  }
}
