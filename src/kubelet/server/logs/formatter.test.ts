import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { describe, test } from "node:test";
import { type FormatOptions, LogFormatter } from "./formatter.ts";
import { printTime, TimeReader } from "./line.ts";

const everything: FormatOptions = {
  timestamps: false,
  limitBytes: undefined,
  sinceMs: undefined,
  stream: "All",
  entriesMax: Number.POSITIVE_INFINITY,
};

const log = `2026-01-31T10:00:00.5Z stdout F first
2026-01-31T10:00:01.123456789Z stderr F complaint
2026-01-31T10:00:02Z stdout P half a
2026-01-31T10:00:02.000000001Z stdout P:x  line
2026-01-31T10:00:03Z stdout F , whole
nonsense
2026-01-31T10:00:04Z stdout F 
2026-01-31T10:00:05Z stdout F:new ü
`;

function format(text: string, options: Partial<FormatOptions> = {}): string {
  const formatter = new LogFormatter({ ...everything, ...options });
  return formatter.push(Buffer.from(text)).toString() + formatter.flush().toString();
}

describe("log formatter", () => {
  const since = Date.parse("2026-01-31T10:00:02Z");
  const cases: readonly [string, Partial<FormatOptions>, string][] = [
    ["everything: parts of a line joined, nonsense left out", {}, "first\ncomplaint\nhalf a line, whole\n\nü\n"],
    [
      "with times: nine digits, once a line",
      { timestamps: true },
      `2026-01-31T10:00:00.500000000Z first
2026-01-31T10:00:01.123456789Z complaint
2026-01-31T10:00:02.000000000Z half a line, whole
2026-01-31T10:00:04.000000000Z 
2026-01-31T10:00:05.000000000Z ü
`,
    ],
    ["standard output", { stream: "Stdout" }, "first\nhalf a line, whole\n\nü\n"],
    ["standard error", { stream: "Stderr" }, "complaint\n"],
    ["since a moment, which counts", { sinceMs: since }, "half a line, whole\n\nü\n"],
    ["since later than everything", { sinceMs: since + 60_000 }, ""],
    ["so many bytes", { limitBytes: 9 }, "first\ncom"],
    ["so many bytes, times count", { limitBytes: 33, timestamps: true }, "2026-01-31T10:00:00.500000000Z fi"],
    ["so many entries", { entriesMax: 3 }, "first\ncomplaint\nhalf a"],
    ["no entry", { entriesMax: 0 }, ""],
  ];
  for (const [name, options, expected] of cases) test(name, () => assert.equal(format(log, options), expected));

  test("a last line without an end is shown when the file ends, not before", () => {
    const formatter = new LogFormatter(everything);
    assert.equal(formatter.push(Buffer.from("2026-01-31T10:00:00Z stdout F abc")).toString(), "");
    assert.ok(formatter.pendingBytes > 0);
    assert.equal(formatter.flush().toString(), "abc");
  });

  test("another file: what was cut off has no rest", () => {
    const formatter = new LogFormatter(everything);
    formatter.push(Buffer.from("2026-01-31T10:00:00Z std"));
    formatter.reset();
    assert.equal(formatter.push(Buffer.from("2026-01-31T10:00:01Z stdout F new\n")).toString(), "new\n");
  });

  test("lines that are none", () => {
    for (const line of ["", " ", "x y z w", "2026-01-31T10:00:00Z stdxxx F a", "2026-01-31T10:00:00Z stdout F"]) {
      assert.equal(format(`${line}\n`), "", line);
    }
  });

  test("chunks may end anywhere", (context) => {
    const seed = randomInt(2 ** 31);
    context.diagnostic(`seed ${seed}`);
    let state = seed;
    const random = (below: number): number => {
      state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
      return state % below;
    };
    const bytes = Buffer.from(log);
    for (const options of [{}, { timestamps: true }, { limitBytes: 20 }, { sinceMs: since }]) {
      for (let round = 0; round < 100; round++) {
        const formatter = new LogFormatter({ ...everything, ...options });
        let text = "";
        for (let at = 0; at < bytes.length; ) {
          const length = 1 + random(40);
          text += formatter.push(bytes.subarray(at, at + length)).toString("latin1");
          at += length;
        }
        text += formatter.flush().toString("latin1");
        assert.equal(Buffer.from(text, "latin1").toString(), format(log, options), `seed ${seed}, round ${round}`);
      }
    }
  });
});

test("a line longer than anybody holds: passed on as it is read, cut, counted and left out like any other", () => {
  const time = "2026-01-31T10:00:00.1Z";
  const long = "x".repeat(1_000_000);
  const log = Buffer.from(
    [
      `${time} stdout F a`,
      `${time} stdout P ${long}`,
      `${time} stderr F ${long}`,
      `nonsense ${long}`,
      `${time} stdout F b`,
      "",
    ].join("\n"),
  );
  for (const [options, expected] of [
    [{}, `a\n${long}${long}\nb\n`],
    [{ stream: "Stdout" }, `a\n${long}b\n`],
    [{ stream: "Stderr" }, `${long}\n`],
    [{ limitBytes: 600_000 }, `a\n${long.slice(0, 599_998)}`],
    [{ entriesMax: 2 }, `a\n${long}`],
    [
      { timestamps: true },
      `2026-01-31T10:00:00.100000000Z a\n2026-01-31T10:00:00.100000000Z ${long}${long}\n2026-01-31T10:00:00.100000000Z b\n`,
    ],
  ] as const) {
    const formatter = new LogFormatter({ ...everything, ...options });
    let text = "";
    let most = 0;
    for (let at = 0; at < log.length; at += 65_536) {
      text += formatter.push(log.subarray(at, at + 65_536)).toString();
      most = Math.max(most, formatter.pendingBytes);
    }
    text += formatter.flush().toString();
    assert.equal(
      text === expected,
      true,
      `${JSON.stringify(options)}: ${text.length} bytes, expected ${expected.length}`,
    );
    assert.ok(most <= 256 * 1024, `${most} bytes held`);
  }
});

describe("log times", () => {
  test("printed with nine digits, in their own zone", () => {
    assert.equal(printTime("2026-01-31T10:00:00Z"), "2026-01-31T10:00:00.000000000Z");
    assert.equal(printTime("2026-01-31T10:00:00.12+02:00"), "2026-01-31T10:00:00.120000000+02:00");
  });

  test("read to the millisecond, whatever the zone", () => {
    const times = new TimeReader();
    for (const time of [
      "2026-01-31T10:00:00Z",
      "2026-01-31T10:00:00.5Z",
      "2026-01-31T10:00:00.123456789Z",
      "2026-01-31T10:00:00.25-05:30",
      "2026-01-31T10:00:00+02:00",
      "2026-01-31T10:00:01.999999999+02:00",
    ]) {
      assert.equal(times.read(time), Date.parse(time), time);
    }
    assert.ok(Number.isNaN(times.read("yesterday, or so, at")));
  });
});
