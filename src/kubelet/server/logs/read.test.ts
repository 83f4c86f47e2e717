import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { realClock } from "#base";
import type { LogOptions } from "./options.ts";
import { openLog } from "./read.ts";
import { tailOffset } from "./tail.ts";

const line = (text: string): string => `2026-01-31T10:00:00.1Z stdout F ${text}\n`;
const everything: LogOptions = {
  follow: false,
  previous: false,
  timestamps: false,
  tailLines: undefined,
  limitBytes: undefined,
  sinceMs: undefined,
  stream: "All",
};

function logFile(context: TestContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), "sampan-log-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "0.log");
  writeFileSync(path, text);
  return path;
}

/** Reads, and lets the test wait for what it has read so far. */
function start(path: string, options: Partial<LogOptions>) {
  const stop = new AbortController();
  const container = { running: true, changed: (): void => undefined };
  let text = "";
  let heard = (): void => undefined;
  const done = (async () => {
    const log = await openLog({
      path,
      options: { ...everything, ...options },
      clock: realClock,
      signal: stop.signal,
      async write(bytes) {
        text += bytes.toString();
        heard();
      },
      isRunning: () => container.running,
      onContainer(listener) {
        container.changed = listener;
        return () => {
          container.changed = () => undefined;
        };
      },
    });
    await log.read();
    return text;
  })();
  return {
    done,
    stop,
    async until(expected: string) {
      while (text !== expected) {
        assert.ok(expected.startsWith(text), `${JSON.stringify(text)} instead of ${JSON.stringify(expected)}`);
        await new Promise<void>((resolve) => {
          heard = resolve;
        });
      }
    },
    end() {
      container.running = false;
      container.changed();
    },
  };
}

describe("log reader", () => {
  test("reads to the end of the file", async (context) => {
    const path = logFile(context, line("a") + line("b"));
    assert.equal(await start(path, {}).done, "a\nb\n");
    assert.equal(await start(path, { tailLines: 1 }).done, "b\n");
    assert.equal(await start(path, { tailLines: 0 }).done, "");
  });

  test("no such file: the file system's error, before anything is read", async (context) => {
    const path = logFile(context, "");
    await assert.rejects(start(`${path}.none`, {}).done, { code: "ENOENT" });
  });

  test("follows what is written, until the container has ended and all is read", async (context) => {
    const path = logFile(context, line("a") + line("b"));
    const reading = start(path, { follow: true, tailLines: 1 });
    await reading.until("b\n");
    appendFileSync(path, line("c"));
    await reading.until("b\nc\n");
    appendFileSync(path, line("half").slice(0, -3));
    appendFileSync(path, line("half").slice(-3));
    await reading.until("b\nc\nhalf\n");
    appendFileSync(path, line("last"));
    reading.end();
    assert.equal(await reading.done, "b\nc\nhalf\nlast\n");
  });

  test("following a container that has ended: all there is", async (context) => {
    const path = logFile(context, line("a"));
    const reading = start(path, { follow: true });
    reading.end();
    assert.equal(await reading.done, "a\n");
  });

  test("goes on in the new file when the log is rotated, after the rest of the old one", async (context) => {
    const path = logFile(context, line("a"));
    const reading = start(path, { follow: true });
    await reading.until("a\n");
    appendFileSync(path, line("old"));
    renameSync(path, `${path}.20260131-100000`);
    writeFileSync(path, line("new"));
    await reading.until("a\nold\nnew\n");
    truncateSync(path);
    appendFileSync(path, line("x"));
    await reading.until("a\nold\nnew\nx\n");
    reading.end();
    await reading.done;
  });

  test("ends with its limit, also when it follows", async (context) => {
    const path = logFile(context, line("abc"));
    assert.equal(await start(path, { follow: true, limitBytes: 2 }).done, "ab");
  });

  test("ends when nobody listens any more", async (context) => {
    const path = logFile(context, line("a"));
    const reading = start(path, { follow: true });
    await reading.until("a\n");
    reading.stop.abort();
    assert.equal(await reading.done, "a\n");
  });
});

test("tail: where the last lines start, also across blocks", async (context) => {
  const lines = Array.from({ length: 5000 }, (_, number) => `${"x".repeat(number % 90)}${number}\n`);
  const text = lines.join("");
  const path = logFile(context, text);
  const file = await open(path);
  context.after(() => file.close());
  for (const count of [0, 1, 2, 999, 1000, 4999, 5000, 6000]) {
    const expected = lines.slice(Math.max(0, lines.length - count)).join("");
    const at = await tailOffset(file, { size: text.length, lines: count });
    assert.equal(text.slice(at), expected, `${count} lines`);
  }
  assert.equal(await tailOffset(file, { size: 0, lines: 3 }), 0);
});
