import assert from "node:assert/strict";
import { once } from "node:events";
import { Duplex } from "node:stream";
import { describe, test } from "node:test";
import { SpdyConnection, type SpdyStream } from "./connection.ts";
import { controlFrame, dataFrame, headersOf, numbers, type ReadFrame, takeFrames } from "./testing.ts";

/** A connection and the other end of its socket. */
function connect({ head = Buffer.alloc(0), highWaterMark = 65536 }: { head?: Buffer; highWaterMark?: number } = {}) {
  const frames: ReadFrame[] = [];
  let rest: Buffer = Buffer.alloc(0);
  let release: (() => void) | undefined;
  let held = false;
  const socket = new Duplex({
    writableHighWaterMark: highWaterMark,
    read: () => undefined,
    write(chunk: Buffer, _encoding, done) {
      const taken = takeFrames(Buffer.concat([rest, chunk]));
      frames.push(...taken.frames);
      rest = taken.rest;
      if (held) release = done;
      else done();
    },
  });
  const connection = new SpdyConnection(socket, head);
  return {
    connection,
    socket,
    frames,
    hold: () => {
      held = true;
    },
    release: () => {
      held = false;
      release?.();
    },
    send: async (...sent: Buffer[]) => {
      socket.push(Buffer.concat(sent));
      await new Promise(setImmediate);
    },
  };
}

const reply = (id: number): Buffer => controlFrame(2, numbers(id, 0));

function listen(open: (listener: object) => SpdyStream) {
  const told: string[] = [];
  const stream = open({
    data: (piece: Buffer) => told.push(piece.toString()),
    end: (error: Error | undefined) => told.push(error ? `broken: ${error.message}` : "end"),
  });
  return { stream, told };
}

describe("spdy connection", () => {
  test("streams: odd numbers, headers, data both ways, half-closes", async () => {
    const { connection, frames, send } = connect();
    const first = listen((listener) => connection.open({ streamType: "stdin" }, listener));
    const second = listen((listener) => connection.open({ streamType: "stdout" }, listener));
    assert.deepEqual(
      frames.map((frame, position) => [frame.streamId, headersOf(frame, { first: position === 0 })]),
      [
        [1, { streamtype: "stdin" }],
        [3, { streamtype: "stdout" }],
      ],
    );
    await send(reply(1), reply(3), dataFrame(3, "out"));
    await Promise.all([first.stream.accepted, second.stream.accepted]);
    first.stream.write(Buffer.from("in"));
    first.stream.end();
    first.stream.end();
    first.stream.write(Buffer.from("too late"));
    assert.deepEqual(
      frames.slice(2).map(({ type, streamId, fin, body }) => [type, streamId, fin, body.toString()]),
      [
        [0, 1, false, "in"],
        [0, 1, true, ""],
      ],
    );
    await send(dataFrame(3, " and more", { fin: true }), dataFrame(3, "ignored"));
    assert.deepEqual(second.told, ["out", " and more", "end"]);
    assert.deepEqual(first.told, []);
  });

  test("bytes that came with the answer to the upgrade are read first", async () => {
    const { connection, send } = connect({ head: reply(1) });
    const { stream } = listen((listener) => connection.open({}, listener));
    await send();
    await stream.accepted;
  });

  test("answers pings of the peer, not its own coming back", async () => {
    const { connection, frames, send } = connect();
    connection.ping();
    await send(controlFrame(6, numbers(1)), controlFrame(6, numbers(2)));
    assert.deepEqual(
      frames.map(({ type, body }) => [type, body.toString("hex")]),
      [
        [6, "00000001"],
        [6, "00000002"],
      ],
    );
  });

  test("streams of the peer are refused", async () => {
    const { frames, send } = connect();
    await send(controlFrame(1, numbers(2, 0, 0)));
    assert.deepEqual(
      frames.map(({ type, body }) => [type, body.toString("hex")]),
      [[3, "0000000200000003"]],
    );
  });

  test("a reset before the reply is an error, after it the end", async () => {
    const { connection, send } = connect();
    const refused = listen((listener) => connection.open({}, listener));
    const taken = listen((listener) => connection.open({}, listener));
    await send(controlFrame(3, numbers(1, 3)), reply(3), dataFrame(3, "x"), controlFrame(3, numbers(3, 5)));
    await assert.rejects(refused.stream.accepted, /reset a stream \(status 3\)/);
    assert.deepEqual(refused.told, ["broken: the peer reset a stream (status 3)"]);
    assert.deepEqual(taken.told, ["x", "end"]);
  });

  test("a connection that ends, ends its streams with an error, once", async () => {
    const { connection, socket } = connect();
    const { stream, told } = listen((listener) => connection.open({}, listener));
    socket.push(null);
    await once(socket, "end");
    await assert.rejects(stream.accepted, /closed/);
    socket.destroy();
    await once(socket, "close");
    assert.deepEqual(told, ["broken: the connection was closed"]);
    await assert.rejects(connection.open({}, {}).accepted, /closed/);
    assert.equal(stream.write(Buffer.from("x")), true);
    await connection.drained();
  });

  test("nonsense breaks it", async () => {
    const { connection, socket, send } = connect();
    const { told } = listen((listener) => connection.open({}, listener));
    await send(Buffer.from("8002000600000004" + "00000001", "hex"));
    assert.deepEqual(told, ["broken: SPDY version 2, expected 3"]);
    assert.equal(socket.destroyed, true);
  });

  test("a full socket says so and tells when there is room", async () => {
    const { connection, hold, release } = connect({ highWaterMark: 64 });
    const { stream } = listen((listener) => connection.open({}, listener));
    hold();
    assert.equal(stream.write(Buffer.alloc(100)), false);
    let room = false;
    const waiting = connection.drained().then(() => (room = true));
    assert.equal(room, false);
    release();
    await waiting;
  });

  test("close says goodbye and ends the socket", async () => {
    const { connection, socket, frames } = connect();
    connection.close();
    connection.close();
    await once(socket, "finish");
    assert.deepEqual(
      frames.map(({ type }) => type),
      [7],
    );
  });
});
