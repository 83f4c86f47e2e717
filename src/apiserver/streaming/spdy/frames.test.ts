import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { describe, test } from "node:test";
import {
  controlBytesMax,
  dataHead,
  type FrameHandler,
  FrameReader,
  goAwayFrame,
  pingFrame,
  rstStreamFrame,
  SpdyError,
  synStream,
} from "./frames.ts";
import { controlFrame, dataFrame, headersOf, numbers, takeFrames } from "./testing.ts";

/** What a handler was told, data of one stream joined. */
function record(): { handler: FrameHandler; told: string[] } {
  const told: string[] = [];
  const say = (...words: unknown[]): void => void told.push(words.join(" "));
  const handler: FrameHandler = {
    synStream: (id) => say("synStream", id),
    synReply: (id, fin) => say("synReply", id, fin),
    headers: (id, fin) => say("headers", id, fin),
    rstStream: (id, status) => say("rst", id, status),
    data: (id, piece) => {
      const last = told.at(-1);
      if (last?.startsWith(`data ${id} `)) told[told.length - 1] = last + piece.toString("hex");
      else say("data", id, piece.toString("hex"));
    },
    dataEnd: (id) => say("dataEnd", id),
    ping: (id) => say("ping", id),
    goAway: (id, status) => say("goAway", id, status),
  };
  return { handler, told };
}

describe("spdy frames: written as the draft says", () => {
  const cases: readonly [string, Buffer, string][] = [
    ["ping", pingFrame(7), "8003000600000004" + "00000007"],
    ["reset", rstStreamFrame(5, 3), "8003000300000008" + "00000005" + "00000003"],
    ["goaway", goAwayFrame(0, 0), "8003000700000008" + "00000000" + "00000000"],
    ["data", dataHead(9, { length: 258, fin: false }), "0000000900000102"],
    ["last data", dataHead(9, { length: 0, fin: true }), "0000000901000000"],
  ];
  for (const [name, frame, expected] of cases) test(name, () => assert.equal(frame.toString("hex"), expected));

  test("streams: headers in lower case, in one zlib stream that node's zlib reads", () => {
    const all = Buffer.concat([
      synStream(1, { streamType: "error" }, { first: true }),
      synStream(3, { streamType: "stdin", Port: "80" }, { first: false }),
    ]);
    const { frames, rest } = takeFrames(all);
    assert.equal(rest.length, 0);
    assert.deepEqual(
      frames.map(({ type, streamId, fin }) => [type, streamId, fin]),
      [
        [1, 1, false],
        [1, 3, false],
      ],
    );
    assert.equal(frames[0]?.body.subarray(10, 16).toString("hex"), "78bbe3c6a7c2");
    // Go's reader waits for the empty block.
    for (const { body } of frames) assert.equal(body.subarray(-5).toString("hex"), "000000ffff");
    assert.deepEqual(headersOf(frames[0]!, { first: true }), { streamtype: "error" });
    assert.deepEqual(headersOf(frames[1]!, { first: false }), { streamtype: "stdin", port: "80" });
  });
});

const bytes = Buffer.concat([
  controlFrame(4, numbers(1, 0x07000004, 65536)),
  controlFrame(2, Buffer.concat([numbers(1), Buffer.from("a header block")])),
  dataFrame(1, "hello"),
  dataFrame(1, ""),
  controlFrame(9, numbers(1, 100)),
  dataFrame(3, "x", { fin: true }),
  controlFrame(6, numbers(2)),
  controlFrame(8, Buffer.concat([numbers(5), Buffer.from("more")]), { fin: true }),
  controlFrame(77, Buffer.from("nobody knows")),
  dataFrame(5, "", { fin: true }),
  controlFrame(1, numbers(2, 0, 0)),
  controlFrame(3, numbers(7, 5)),
  controlFrame(7, numbers(9, 0)),
]);
const expected = [
  "synReply 1 false",
  `data 1 ${Buffer.from("hello").toString("hex")}`,
  `data 3 ${Buffer.from("x").toString("hex")}`,
  "dataEnd 3",
  "ping 2",
  "headers 5 true",
  "dataEnd 5",
  "synStream 2",
  "rst 7 5",
  "goAway 9 0",
];

test("frame reader: tells every frame once, in order", () => {
  const { handler, told } = record();
  new FrameReader(handler).push(bytes);
  assert.deepEqual(told, expected);
});

test("frame reader: it doesn't matter where the chunks end", (context) => {
  const seed = randomInt(2 ** 31);
  context.diagnostic(`seed ${seed}`);
  let state = seed;
  const random = (below: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return state % below;
  };
  for (let round = 0; round < 300; round++) {
    const { handler, told } = record();
    const reader = new FrameReader(handler);
    for (let at = 0; at < bytes.length; ) {
      const length = 1 + random(round % 2 === 0 ? 4 : 60);
      reader.push(Buffer.from(bytes.subarray(at, at + length)));
      at += length;
    }
    assert.deepEqual(told, expected, `seed ${seed}, round ${round}`);
  }
});

test("frame reader: random bytes are frames or a SpdyError, never anything else", (context) => {
  const seed = randomInt(2 ** 31);
  context.diagnostic(`seed ${seed}`);
  let state = seed;
  for (let round = 0; round < 2000; round++) {
    const noise = Buffer.alloc(64);
    for (let at = 0; at < noise.length; at++) {
      state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
      noise[at] = state >> 16;
    }
    // Most noise starts as a control frame of the right version, or little of the reader would be reached.
    if (round % 3 !== 0) noise.writeUInt32BE(0x80030000 + (state % 12), 0);
    if (round % 3 === 1) noise.writeUInt32BE(state % 60, 4);
    try {
      new FrameReader(record().handler).push(noise);
    } catch (error) {
      assert.ok(error instanceof SpdyError, `seed ${seed}, round ${round}: ${error}`);
    }
  }
});

describe("frame reader: refuses", () => {
  const cases: readonly [string, Buffer, RegExp][] = [
    ["another version", Buffer.from("8002000600000004" + "00000001", "hex"), /version 2, expected 3/],
    ["HTTP", Buffer.from("\x80TP/1.1 400 Bad Request\r\n\r\n", "latin1"), /bytes, at most|version/],
    ["a huge control frame", controlFrame(8, Buffer.alloc(controlBytesMax + 1)), /65537 bytes, at most 65536/],
    ["a short reset", controlFrame(3, numbers(1)), /4 bytes, at least 8/],
    ["a ping without a number", controlFrame(6, Buffer.alloc(0)), /0 bytes, at least 4/],
  ];
  for (const [name, sent, message] of cases) {
    test(name, () => {
      assert.throws(
        () => new FrameReader(record().handler).push(sent),
        (error) => {
          assert.ok(error instanceof SpdyError);
          assert.match(error.message, message);
          return true;
        },
      );
    });
  }
});
