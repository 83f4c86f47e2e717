import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { openPki } from "./pki.ts";

const dayMs = 24 * 3600 * 1000;

async function open(t: TestContext, more: { now?: number; directory?: string; names?: string[] } = {}) {
  const directory = more.directory ?? (await mkdtemp(path.join(tmpdir(), "pki-")));
  if (!more.directory) t.after(() => rm(directory, { recursive: true }));
  const options = {
    now: more.now ?? Date.now(),
    serverNames: more.names ?? ["localhost"],
    serverAddresses: ["127.0.0.1"],
  };
  return { directory, pki: await openPki({ directory, ...options }) };
}

test("pki: a client with the admin certificate and a server trust each other", async (t) => {
  const { pki } = await open(t);
  const server = https.createServer(
    { cert: pki.server.certificate, key: pki.server.key, ca: pki.authority.certificate, requestCert: true },
    (request, response) => {
      const { subject } = (request.socket as import("node:tls").TLSSocket).getPeerCertificate();
      response.end(`${subject.CN}/${subject.O}`);
    },
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const text = await new Promise<string>((resolve, reject) => {
    const options = { ca: pki.authority.certificate, cert: pki.admin.certificate, key: pki.admin.key, agent: false };
    https
      .get(`https://127.0.0.1:${port}/`, options, (response) => response.setEncoding("utf8").on("data", resolve))
      .on("error", reject);
  });
  assert.equal(text, "kubernetes-admin/system:masters");
});

test("pki: a second start finds what the first made", async (t) => {
  const first = await open(t);
  const second = await open(t, { directory: first.directory });
  assert.equal(second.pki.server.certificate, first.pki.server.certificate);
  assert.equal(second.pki.serviceAccountKey, first.pki.serviceAccountKey);
});

test("pki: a leaf is renewed before its end and for a new name, the authority stays", async (t) => {
  const first = await open(t);
  const later = await open(t, { directory: first.directory, now: Date.now() + 340 * dayMs });
  assert.notEqual(later.pki.admin.certificate, first.pki.admin.certificate);
  assert.equal(later.pki.authority.certificate, first.pki.authority.certificate);
  const renamed = await open(t, { directory: first.directory, names: ["localhost", "sampan.example"] });
  assert.ok(new X509Certificate(renamed.pki.server.certificate).checkHost("sampan.example"));
});
