import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { copyFileSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { openPki, PkiError } from "./pki.ts";

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

for (const [name, damage, file, mend] of [
  ["an empty authority", (d: string) => truncateSync(`${d}/ca.crt`), "ca.crt", /restore ca.crt and ca.key/],
  ["an authority without its key", (d: string) => rmSync(`${d}/ca.key`), "ca.key", /is missing/],
  ["a lost authority", (d: string) => rmSync(`${d}/ca.crt`), "ca.crt", /is missing, .*apiserver.crt/],
  ["a key of another", (d: string) => copyFileSync(`${d}/admin.key`, `${d}/ca.key`), "ca.key", /does not belong to/],
  ["text for a certificate", (d: string) => writeFileSync(`${d}/apiserver.crt`, "hi"), "apiserver.crt", /remove it/],
  ["half a key", (d: string) => truncateSync(`${d}/admin.key`, 60), "admin.key", /remove it/],
  ["half a key of accounts", (d: string) => truncateSync(`${d}/sa.key`, 60), "sa.key", /issued anew/],
] as const)
  test(`pki: ${name} is named, and nothing is overwritten`, async (context) => {
    const { directory } = await open(context);
    damage(directory);
    const content = () =>
      readdirSync(directory).map((each) => [each, readFileSync(path.join(directory, each), "utf8")]);
    const before = content();
    await assert.rejects(open(context, { directory }), (error) => {
      assert.ok(error instanceof PkiError, String(error));
      assert.equal(error.file, path.join(directory, file));
      assert.match(error.message, mend);
      return error.message.includes(error.file);
    });
    assert.deepEqual(content(), before);
  });

test("pki: extension servers trust an authority of their own, which signs nothing but the front proxy", async (t) => {
  const { pki, directory } = await open(t);
  const authority = new X509Certificate(pki.frontProxy.authority);
  const client = new X509Certificate(pki.frontProxy.client.certificate);
  assert.ok(client.verify(authority.publicKey));
  assert.equal(client.subject, "CN=front-proxy-client");
  assert.ok(!client.verify(new X509Certificate(pki.authority.certificate).publicKey));
  assert.equal((await open(t, { directory })).pki.frontProxy.client.certificate, pki.frontProxy.client.certificate);
  rmSync(`${directory}/front-proxy-ca.crt`);
  const remade = (await open(t, { directory })).pki.frontProxy;
  assert.ok(new X509Certificate(remade.client.certificate).verify(new X509Certificate(remade.authority).publicKey));
});

test("pki: while the server runs, leaves that near their end are renewed in place and on the disk, once", async (t) => {
  const { directory, pki } = await open(t);
  const kubelet = await pki.leaf("kubelet-a", { commonName: "system:node:a", usages: ["server"], validDays: 365 });
  const pairs = [pki.server, pki.admin, pki.kubeletClient, pki.frontProxy.client, kubelet];
  const before = pairs.map(({ certificate }) => certificate);
  assert.equal(await pki.renew(Date.now() + 300 * dayMs), false);
  assert.equal(await pki.renew(Date.now() + 340 * dayMs), true);
  for (const [i, { certificate, key }] of pairs.entries()) {
    assert.notEqual(certificate, before[i]);
    assert.ok(Date.parse(new X509Certificate(certificate).validTo) > Date.now() + 700 * dayMs);
    assert.ok(new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key)));
  }
  assert.equal(readFileSync(path.join(directory, "apiserver.crt"), "utf8"), pki.server.certificate);
  assert.equal(await pki.renew(Date.now() + 340 * dayMs), false);
});
