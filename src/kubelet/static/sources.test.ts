/** Real folders, the kernel's events and a real HTTP server. */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Pod } from "#api";
import { createLogger, realClock } from "#base";
import { followFiles } from "./file-source.ts";
import { followUrl } from "./url-source.ts";

const manifest = (name: string, image = "i") =>
  `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}}\nspec: {containers: [{name: c, image: ${image}}]}\n`;
const shown = (pods: readonly Pod[]) =>
  pods.map(({ metadata, spec }) => `${metadata.name}=${spec?.containers[0]?.image}`).join(" ");

/** What a source tells, one after the other, and what it complains of. */
function listen() {
  const stop = new AbortController();
  const complaints: string[] = [];
  const log = createLogger({ write: (line) => complaints.push(line), level: "warn" });
  const seen: string[] = [];
  let wake = (): void => undefined;
  return {
    options: {
      nodeName: "n",
      clock: realClock,
      log,
      onPods: (pods: readonly Pod[]) => {
        seen.push(shown(pods));
        wake();
      },
    },
    signal: stop.signal,
    complaints,
    stop: () => stop.abort(),
    async next(): Promise<string> {
      while (seen.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      return seen.shift() ?? "";
    },
  };
}

test("static files: come, change and go with the folder; what can't be used is said once, and nothing else suffers", async () => {
  const root = await mkdtemp(join(tmpdir(), "static-"));
  const folder = join(root, "manifests");
  const source = listen();
  // Far away: only events bring news.
  const running = followFiles({ ...source.options, path: `${folder}/`, checkMs: 3_600_000 }, source.signal);
  try {
    assert.equal(await source.next(), "");
    await mkdir(join(folder, "nested"), { recursive: true });
    await writeFile(join(folder, ".hidden.yaml"), manifest("hidden"));
    await writeFile(join(folder, "nested", "x.yaml"), manifest("nested"));
    await writeFile(join(folder, "b.yaml"), manifest("b"));
    assert.equal(await source.next(), "b-n=i");
    await writeFile(join(folder, "bad.yaml"), "kind: Pod\napiVersion: v1\nmetadata: {}\n");
    await writeFile(
      join(folder, "a.json"),
      JSON.stringify({
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: "a" },
        spec: { containers: [{ name: "c", image: "j" }] },
      }),
    );
    assert.equal(await source.next(), "a-n=j b-n=i");
    // As editors do: beside, then in its place.
    await writeFile(join(folder, ".b.yaml.swp"), manifest("b", "k"));
    await rename(join(folder, ".b.yaml.swp"), join(folder, "b.yaml"));
    assert.equal(await source.next(), "a-n=j b-n=k");
    // Half a file keeps its pod: the whole comes soon.
    await writeFile(join(folder, "b.yaml"), "apiVersion: v1\nkind: Pod\nmeta");
    await rm(join(folder, "a.json"));
    assert.equal(await source.next(), "b-n=k");
    await writeFile(join(folder, "b.yaml"), manifest("b", "l"));
    assert.equal(await source.next(), "b-n=l");
    await rm(folder, { recursive: true });
    assert.equal(await source.next(), "");
    const about = (text: string) => source.complaints.filter((line) => line.includes(text)).length;
    assert.equal(about("name is needed for the pod"), 1);
    assert.equal(about("folder among manifests"), 1);
  } finally {
    source.stop();
    await running;
    await rm(root, { recursive: true, force: true });
  }
});

test("static file: a single one, also replaced, and looked at now and then without events", async () => {
  const root = await mkdtemp(join(tmpdir(), "static-"));
  const path = join(root, "pod.yaml");
  await writeFile(path, manifest("a"));
  const source = listen();
  const running = followFiles({ ...source.options, path, checkMs: 50 }, source.signal);
  try {
    assert.equal(await source.next(), "a-n=i");
    await writeFile(join(root, "other.yaml"), manifest("b"));
    await rename(join(root, "other.yaml"), path);
    assert.equal(await source.next(), "b-n=i");
    // What is still wrong at the next look has no pod.
    await writeFile(path, "nothing: [");
    assert.equal(await source.next(), "");
  } finally {
    source.stop();
    await running;
    await rm(root, { recursive: true, force: true });
  }
});

test("static URL: pods of its answers; while it fails they stay", async () => {
  const answers: [status: number, body: string][] = [
    [200, manifest("a")],
    [500, "trouble"],
    [200, "<html>"],
    [200, JSON.stringify({ apiVersion: "v1", kind: "PodList", items: [] })],
    [200, ""],
  ];
  const headers: unknown[] = [];
  const server = createServer((request, response) => {
    headers.push(request.headers["x-a"]);
    const [status, body] = (answers.length > 1 ? answers.shift() : answers[0]) ?? [500, ""];
    response.writeHead(status).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/pods`; // a TCP port has one
  const source = listen();
  const running = followUrl({ ...source.options, url, headers: { "X-A": ["1", "2"] }, checkMs: 5 }, source.signal);
  try {
    assert.equal(await source.next(), "a-n=i");
    assert.equal(await source.next(), "");
    assert.equal(await source.next(), "");
    assert.equal(headers[0], "1, 2");
    const said = source.complaints.join("");
    assert.match(said, /pods: 500 Internal Server Error/);
    assert.match(said, /received '<html>', but couldn't parse as single/);
  } finally {
    source.stop();
    await running;
    server.closeAllConnections();
    server.close();
  }
});
