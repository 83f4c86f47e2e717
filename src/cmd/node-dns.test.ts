import assert from "node:assert/strict";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { silentLogger } from "#base";
import { createForwarder, type ForwardSettings } from "#dns";
import { createFakeInformers } from "#testing";
import { followConfigMap, readResolvers, watchResolvers } from "./node-dns.ts";

test("resolvers: a resolv.conf that is written or replaced is read again", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "resolvers-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const files = [join(folder, "none/resolv.conf"), join(folder, "resolv.conf")];
  const file = join(folder, "resolv.conf");
  assert.deepEqual(await readResolvers(files), []);
  let next = Promise.withResolvers<void>();
  const end = watchResolvers(silentLogger, async () => next.resolve(), files);
  t.after(end);
  writeFileSync(file, "nameserver 10.0.0.1\n");
  await next.promise;
  assert.deepEqual(await readResolvers(files), ["10.0.0.1"]);
  next = Promise.withResolvers();
  writeFileSync(`${file}.new`, "nameserver 10.0.0.2\n");
  renameSync(`${file}.new`, file);
  await next.promise;
  assert.deepEqual(await readResolvers(files), ["10.0.0.2"]);
});

test("resolvers: the ConfigMap kube-dns is followed as it comes, changes and goes", () => {
  const informers = createFakeInformers();
  const follow = followConfigMap(informers, silentLogger);
  const seen: ForwardSettings[] = [];
  const forwarder = createForwarder({ servers: [] }, { log: silentLogger });
  const map = (upstreamNameservers: string) => ({
    ...{ metadata: { name: "kube-dns", namespace: "kube-system" } },
    data: { upstreamNameservers },
  });
  informers.set("v1/configmaps", map('["10.0.0.8"]'));
  follow({ ...forwarder, configure: (settings) => void seen.push(settings) }, { servers: ["10.0.0.1"] });
  informers.set("v1/configmaps", map('["10.0.0.9"]'));
  informers.remove("v1/configmaps", map(""));
  assert.deepEqual(
    seen.map(({ servers }) => servers),
    [["10.0.0.8"], ["10.0.0.9"], ["10.0.0.1"]],
  );
});
