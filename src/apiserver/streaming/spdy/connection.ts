/**
 * The client's side of a SPDY/3.1 connection over an upgraded socket.
 *
 * No flow control, on purpose: no SPDY peer of Kubernetes has any (their common library knows no windows, so a sender that waited for
 * WINDOW_UPDATE would wait for ever). The socket's own back-pressure does it: `write` answers whether there is room, `pause` stops
 * reading, for all streams together. Streams that the peer opens are refused.
 */
import type { Duplex } from "node:stream";
import {
  dataBytesMax,
  dataHead,
  type FrameHandler,
  FrameReader,
  goAwayFrame,
  pingFrame,
  resetStatus,
  rstStreamFrame,
  SpdyError,
  synStream,
} from "./frames.ts";

export interface StreamListener {
  data?(piece: Buffer): void;
  /** Exactly once: the peer sends no more. An error when the stream or the connection broke. */
  end?(error: Error | undefined): void;
}

export interface SpdyStream {
  readonly id: number;
  /** Resolves when the peer took the stream; data sent before is dropped by peers. Rejects when it didn't. */
  readonly accepted: Promise<void>;
  /** False: wait for the connection's `drained`. */
  write(chunk: Uint8Array): boolean;
  /** Half-close: we send no more. */
  end(): void;
}

interface StreamState {
  readonly listener: StreamListener;
  readonly accept: () => void;
  readonly refuse: (error: Error) => void;
  accepted: boolean;
  ended: boolean;
  finished: boolean;
}

export class SpdyConnection {
  readonly #socket: Duplex;
  readonly #streams = new Map<number, StreamState>();
  #nextId = 1;
  #pingId = 1;
  #error: Error | undefined;
  #over = false;

  /** `head`: bytes that were read with the answer to the upgrade. */
  constructor(socket: Duplex, head: Buffer) {
    this.#socket = socket;
    const reader = new FrameReader(this.#handler());
    const read = (chunk: Buffer): void => {
      try {
        reader.push(chunk);
      } catch (error) {
        if (!(error instanceof SpdyError)) throw error;
        this.#fail(error);
      }
    };
    socket.on("data", read);
    socket.on("error", (error) => this.#fail(error));
    socket.on("close", () => this.#finish());
    socket.on("end", () => this.#finish());
    if (head.length > 0) socket.unshift(head);
    socket.resume();
  }

  open(headers: Readonly<Record<string, string>>, listener: StreamListener): SpdyStream {
    const id = this.#nextId;
    this.#nextId += 2;
    let accept = (): void => undefined;
    let refuse = (_error: Error): void => undefined;
    const accepted = new Promise<void>((resolve, reject) => {
      accept = resolve;
      refuse = reject;
    });
    // Whoever waits for it hears; a connection that breaks has told its listeners already.
    accepted.catch(() => undefined);
    const state: StreamState = { listener, accept, refuse, accepted: false, ended: false, finished: false };
    if (this.#over) {
      refuse(this.#brokenError());
    } else {
      this.#streams.set(id, state);
      this.#socket.write(synStream(id, headers, { first: id === 1 }));
    }
    return { id, accepted, write: (chunk) => this.#write(id, state, chunk), end: () => this.#endOurs(id, state) };
  }

  ping(): void {
    if (this.#over) return;
    this.#socket.write(pingFrame(this.#pingId));
    this.#pingId = (this.#pingId + 2) % 2 ** 31;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Room to write again, or nobody there to write to. */
  drained(): Promise<void> {
    const socket = this.#socket;
    if (this.#over || !socket.writableNeedDrain) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        socket.off("drain", done).off("close", done);
        resolve();
      };
      socket.on("drain", done).on("close", done);
    });
  }

  close(): void {
    if (this.#over) return;
    this.#socket.write(goAwayFrame(0, 0));
    this.#socket.end();
    this.#finish();
  }

  #write(id: number, state: StreamState, chunk: Uint8Array): boolean {
    if (this.#over || state.finished || !this.#streams.has(id)) return true;
    let room = true;
    for (let at = 0; at < chunk.length; at += dataBytesMax) {
      const piece = chunk.subarray(at, at + dataBytesMax);
      this.#socket.cork();
      this.#socket.write(dataHead(id, { length: piece.length, fin: false }));
      room = this.#socket.write(piece);
      this.#socket.uncork();
    }
    return room;
  }

  #endOurs(id: number, state: StreamState): void {
    if (this.#over || state.finished) return;
    state.finished = true;
    if (!this.#streams.has(id)) return;
    this.#socket.write(dataHead(id, { length: 0, fin: true }));
    if (state.ended) this.#streams.delete(id);
  }

  #handler(): FrameHandler {
    return {
      synStream: (id) => this.#socket.write(rstStreamFrame(id, resetStatus.refusedStream)),
      synReply: (id, fin) => {
        const state = this.#streams.get(id);
        if (state) state.accepted = true;
        state?.accept();
        if (fin) this.#endTheirs(id, undefined);
      },
      headers: (id, fin) => {
        if (fin) this.#endTheirs(id, undefined);
      },
      rstStream: (id, status) => {
        const state = this.#streams.get(id);
        const error = new SpdyError(`the peer reset a stream (status ${status})`);
        state?.refuse(error);
        // Servers of Kubernetes reset the streams of a command that has ended: the end, unless the stream never began.
        this.#endTheirs(id, state?.accepted ? undefined : error);
        this.#streams.delete(id);
      },
      data: (id, piece) => {
        const state = this.#streams.get(id);
        if (state && !state.ended) state.listener.data?.(piece);
      },
      dataEnd: (id) => this.#endTheirs(id, undefined),
      // Odd ids are ours coming back.
      ping: (id) => {
        if (id % 2 === 0) this.#socket.write(pingFrame(id));
      },
      goAway: () => undefined,
    };
  }

  #endTheirs(id: number, error: Error | undefined): void {
    const state = this.#streams.get(id);
    if (!state || state.ended) return;
    state.ended = true;
    if (state.finished) this.#streams.delete(id);
    state.listener.end?.(error);
  }

  #fail(error: Error): void {
    this.#error ??= error;
    this.#socket.destroy();
    this.#finish();
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    const error = this.#brokenError();
    for (const [id, state] of [...this.#streams]) {
      state.refuse(error);
      this.#endTheirs(id, error);
    }
    this.#streams.clear();
  }

  #brokenError(): Error {
    return this.#error ?? new SpdyError("the connection was closed");
  }
}
