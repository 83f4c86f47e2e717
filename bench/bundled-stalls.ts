/**
 * How long one request can hold up all others. `node bench/bundled-stalls.ts [--tiny] [--only TEXT] [--pods 10000]`, after `node tools/bundle.ts`
 * The bundled `sampan apiserver` is asked for what is large: long lists in each form, huge definitions, patches and bodies. For each case, the longest time
 * that its event loop was busy at a stretch, in processor time (`bundled-stalls/monitor.ts`), beside how long the answer took.
 */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { podOf } from "./api/load.ts";
import { Children, freePort } from "./children.ts";
import { printTable } from "./process-usage.ts";
import type { Held } from "./bundled-stalls/monitor.ts";
import { type Ask, type Case, casesOf } from "./bundled-stalls/cases.ts";

const { values: flags } = parseArgs({
  options: {
    tiny: { type: "boolean", default: false },
    only: { type: "string", default: "" },
    pods: { type: "string" },
    program: { type: "string", default: resolve(import.meta.dirname, "../dist/sampan.js") },
    "node-option": { type: "string", multiple: true, default: [] },
  },
});
const count = Number(flags.pods ?? (flags.tiny ? 50 : 10_000));
const parallel = 16;
const token = "bench";

const folder = mkdtempSync(join(tmpdir(), "bench-stalls-"));
const children = new Children();
const port = await freePort();
const agent = new Agent({ keepAlive: true, maxSockets: parallel });
try {
  writeFileSync(join(folder, "tokens.csv"), `${token},bench,bench,"system:masters"\n`);
  let server = await start();
  await ask("POST", "/api/v1/namespaces", { metadata: { name: "bench" } });
  await ask("POST", "/api/v1/namespaces/bench/serviceaccounts", { metadata: { name: "default" } });
  await inParallel(count, (index) => ask("POST", "/api/v1/namespaces/bench/pods", podOf(index)));
  const rows: string[][] = [];
  for (const each of casesOf({ pods: count, large: flags.tiny ? 50 : 10_000 })) {
    if (!each.what.includes(flags.only)) continue;
    await each.prepare?.(ask, inParallel);
    rows.push(await measure(server, each));
  }
  if ("after a start".includes(flags.only)) {
    await children.end(server);
    server = await start();
    rows.push(
      await measure(server, { what: `first list of ${count} after a start`, run: () => ask("GET", "/api/v1/pods") }),
    );
  }
  printTable([["", "status", "held up for", "answered after", "bytes"], ...rows]);
} finally {
  agent.destroy();
  await children.endAll();
  rmSync(folder, { recursive: true, force: true });
}

async function start(): Promise<ChildProcess> {
  // A child with a channel doesn't start itself a second time, so it gets here what it would give itself.
  const options = ["--max-semi-space-size=4", ...flags["node-option"]];
  const monitor = ["--import", join(import.meta.dirname, "bundled-stalls/monitor.ts")];
  const place = ["--data-dir", join(folder, "data"), "--bind-address", "127.0.0.1", "--secure-port", String(port)];
  const program = [flags.program, "apiserver", ...place, "--token-auth-file", join(folder, "tokens.csv")];
  return children.start(/^serving on /m, [...options, ...monitor, ...program], { channel: true });
}

async function measure(server: ChildProcess, { what, run }: Case): Promise<string[]> {
  await held(server); // what came before doesn't count
  const begin = performance.now();
  const { status, bytes } = await run(ask);
  const tookMs = performance.now() - begin;
  const { longestMs } = await held(server);
  return [what, String(status), `${longestMs.toFixed(1)} ms`, `${tookMs.toFixed(0)} ms`, bytes.toLocaleString("en")];
}

async function held(server: ChildProcess): Promise<Held> {
  const said = once(server, "message");
  server.send("read");
  return (await said)[0] as Held; // the monitor's only message
}

async function inParallel(count: number, run: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await run(next++);
  };
  await Promise.all(Array.from({ length: parallel }, worker));
}

type Asked = Parameters<Ask>;

/** The whole answer, or, for a watch, what came until its end matches. `text` is only the end. */
function ask(...[method, path, body, { headers = {}, until } = {}]: Asked): ReturnType<Ask> {
  return new Promise((done, refuse) => {
    const data = typeof body === "string" || body === undefined ? body : JSON.stringify(body);
    const request = httpsRequest(
      {
        host: "127.0.0.1",
        port,
        agent,
        method,
        path,
        ca: readFileSync(join(folder, "data/pki/ca.crt")),
        headers: {
          authorization: `Bearer ${token}`,
          ...(data !== undefined && { "content-type": "application/json" }),
          ...headers,
        },
      },
      (response) => {
        const { statusCode: status = 0 } = response;
        let bytes = 0;
        let tail = "";
        const end = () => done({ status, bytes, text: tail });
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          tail = (tail + chunk.toString("latin1")).slice(-2_000);
          if (!until?.test(tail)) return;
          end();
          request.destroy();
        });
        response.on("end", end).on("error", refuse);
      },
    );
    request.on("error", refuse);
    request.end(data);
  });
}
