/**
 * exec and attach for clients that speak `v5.channel.k8s.io` over a WebSocket, kubectl's own way since 1.30: each channel becomes a SPDY
 * stream toward the kubelet, which knows nothing newer. Upstream's StreamTranslator, with its statuses.
 */
import type { WebSocket } from "ws";
import type { Clock, Logger, UpgradeAnswer } from "#base";
import { StatusError } from "#machinery";
import { drained } from "../http/http1.ts";
import type { UpgradeDialer } from "./pass-upgrade.ts";
import { statusOfError, statusToTell } from "./exec-status.ts";
import { SpdyConnection, type SpdyStream } from "./spdy/connection.ts";
import type { UpgradeRequest } from "./upgrade-request.ts";
import { type AcceptedWebSocket, acceptWebSocket } from "./websocket-server.ts";

export const commandProtocol = "v5.channel.k8s.io";
const spdyProtocol = "v4.channel.k8s.io";

const channel = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4 } as const;
/** Half-close: the next byte says of which channel. */
const closeSignal = 255;

/** A status, with all that a runtime may have to say about a failure. */
const errorBytesMax = 256 * 1024;
/** Of the kubelet's refusal. */
const refusalBytesMax = 50_000;
/** As upstream: for the runtime to take the streams. */
const acceptMs = 30_000;
/** Keeps routers between us and the kubelet from forgetting a silent terminal. */
const pingMs = 30_000;

export interface CommandStreams {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}

export interface RemoteCommand {
  readonly request: UpgradeRequest;
  readonly streams: CommandStreams;
  readonly url: URL;
  readonly dial: UpgradeDialer;
  readonly clock: Clock;
  readonly log: Logger;
}

export const wantsCommandProtocol = (request: UpgradeRequest): boolean =>
  request.wanted === "websocket" && request.subprotocols.includes(commandProtocol);

export async function runRemoteCommand(command: RemoteCommand): Promise<void> {
  const accepted = await acceptWebSocket(command.request, commandProtocol);
  if (accepted) await new CommandSession(command, accepted).run();
}

class CommandSession {
  readonly #command: RemoteCommand;
  readonly #webSocket: WebSocket;
  readonly #socket: AcceptedWebSocket["socket"];
  readonly #closed = Promise.withResolvers<void>();
  readonly #gone = new AbortController();
  #finished = false;
  /** The client is slow: what was read already is still sent, nothing more is read. */
  #outputWaits = false;

  constructor(command: RemoteCommand, { webSocket, socket }: AcceptedWebSocket) {
    this.#command = command;
    this.#webSocket = webSocket;
    this.#socket = socket;
  }

  async run(): Promise<void> {
    const { log } = this.#command;
    const webSocket = this.#webSocket;
    webSocket.on("error", (error) => log.debug("the WebSocket of a command broke", { error }));
    webSocket.once("close", () => {
      this.#gone.abort();
      this.#closed.resolve();
    });
    // Input waits until someone takes it.
    webSocket.pause();
    try {
      const status = await this.#converse();
      if (status) this.#finish(status);
    } catch (error) {
      this.#finish(statusOfError(error));
    }
    await this.#closed.promise;
  }

  /** Until the command has ended; undefined when the client went before. */
  async #converse(): Promise<object | undefined> {
    const { streams, clock } = this.#command;
    const answer = await this.#connect();
    // An empty message on the first channel tells the client that it is connected. Upstream sends it with the handshake, where kubectl
    // may not have its streams yet and complains of an unknown one.
    this.#send(streams.stdout ? channel.stdout : streams.stderr ? channel.stderr : channel.error, Buffer.alloc(0));
    const connection = new SpdyConnection(answer.socket, answer.head);
    const stopPings = everyPeriod(clock, () => connection.ping());
    this.#gone.signal.addEventListener("abort", () => connection.close(), { once: true });
    try {
      const { accepted, inputs, outputs, said } = this.#openStreams(connection);
      await withinTime(clock, Promise.all(accepted));
      this.#takeInput(connection, inputs);
      const errors = (await Promise.all(outputs)).filter((error) => error !== undefined);
      if (this.#gone.signal.aborted) return undefined;
      const text = Buffer.concat(said).toString();
      if (text === "" && errors[0]) throw errors[0];
      return statusToTell(text);
    } finally {
      stopPings();
      connection.close();
    }
  }

  /** In the order of upstream's client. */
  #openStreams(connection: SpdyConnection) {
    const { stdin, stdout, stderr, tty } = this.#command.streams;
    const accepted: Promise<void>[] = [];
    const inputs = new Map<number, SpdyStream>();
    /** Each resolves at its end, with what broke it. */
    const outputs: Promise<Error | undefined>[] = [];
    /** The status, in pieces. */
    const said: Buffer[] = [];
    let saidBytes = 0;
    const input = (number: number, streamType: string): void => {
      const stream = connection.open({ streamType }, {});
      inputs.set(number, stream);
      accepted.push(stream.accepted);
    };
    const output = (streamType: string, data: (piece: Buffer) => void): void => {
      const ended = Promise.withResolvers<Error | undefined>();
      outputs.push(ended.promise);
      accepted.push(connection.open({ streamType }, { data, end: ended.resolve }).accepted);
    };
    output("error", (piece) => {
      saidBytes += piece.length;
      if (saidBytes <= errorBytesMax) said.push(Buffer.from(piece));
    });
    if (stdin) input(channel.stdin, "stdin");
    if (stdout) output("stdout", (piece) => this.#output(connection, channel.stdout, piece));
    if (stderr && !tty) output("stderr", (piece) => this.#output(connection, channel.stderr, piece));
    if (tty) input(channel.resize, "resize");
    return { accepted, inputs, outputs, said };
  }

  async #connect(): Promise<Extract<UpgradeAnswer, { type: "upgraded" }>> {
    const { url, dial } = this.#command;
    const headers = { connection: "Upgrade", upgrade: "SPDY/3.1", "x-stream-protocol-version": spdyProtocol };
    const answer = await dial({ url, method: "POST", headers, signal: this.#gone.signal });
    if (answer.type === "upgraded") {
      const spoken = answer.response.headers["x-stream-protocol-version"];
      if (spoken === spdyProtocol) return answer;
      answer.socket.destroy();
      throw new Error(`unable to upgrade connection: the kubelet speaks ${spoken}, expected ${spdyProtocol}`);
    }
    let text = "";
    answer.response.setEncoding("utf8");
    for await (const chunk of answer.response) {
      text += chunk;
      if (text.length > refusalBytesMax) break;
    }
    throw refusalOf(text);
  }

  #takeInput(connection: SpdyConnection, inputs: ReadonlyMap<number, SpdyStream>): void {
    const webSocket = this.#webSocket;
    webSocket.on("message", (message: Buffer) => {
      const [number = -1, half = -1] = message;
      // What comes when the command has ended is read, so that the client can go on, and forgotten.
      if (this.#finished || message.length === 0) return;
      if (number === closeSignal) {
        if (message.length === 2) inputs.get(half)?.end();
        return;
      }
      // Messages that were received already still come after `pause`.
      if (inputs.get(number)?.write(message.subarray(1)) !== false || webSocket.isPaused) return;
      webSocket.pause();
      void connection.drained().then(() => webSocket.resume());
    });
    webSocket.resume();
  }

  #output(connection: SpdyConnection, number: number, piece: Buffer): void {
    if (this.#gone.signal.aborted) return;
    this.#send(number, piece);
    if (!this.#socket.writableNeedDrain || this.#outputWaits) return;
    this.#outputWaits = true;
    connection.pause();
    void drained(this.#socket).then(() => {
      this.#outputWaits = false;
      connection.resume();
    });
  }

  #send(number: number, bytes: Uint8Array): void {
    const message = Buffer.allocUnsafe(bytes.length + 1);
    message[0] = number;
    message.set(bytes, 1);
    this.#webSocket.send(message);
  }

  /** The client reads the rest and closes; see `closeTimeout` for one that doesn't. */
  #finish(status: object): void {
    this.#finished = true;
    if (this.#gone.signal.aborted) return;
    this.#send(channel.error, Buffer.from(JSON.stringify(status)));
    this.#webSocket.close(1000);
    this.#webSocket.resume();
  }
}

/** The kubelet refuses in plain text, or with a Status when something stands between. */
function refusalOf(text: string): Error {
  try {
    const status = JSON.parse(text);
    if (status?.kind === "Status") return new StatusError(status);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return new Error(`unable to upgrade connection: ${text}`);
}

async function withinTime(clock: Clock, work: Promise<unknown>): Promise<void> {
  const late = Promise.withResolvers<never>();
  const cancel = clock.after(acceptMs, () =>
    late.reject(new Error(`the kubelet took no streams within ${acceptMs / 1000} s`)),
  );
  try {
    await Promise.race([work, late.promise]);
  } finally {
    cancel();
  }
}

function everyPeriod(clock: Clock, run: () => void): () => void {
  let cancel = (): void => undefined;
  const next = (): void => {
    cancel = clock.after(pingMs, () => {
      run();
      next();
    });
  };
  next();
  return () => cancel();
}
