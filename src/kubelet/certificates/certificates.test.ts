import assert from "node:assert/strict";
import { createPublicKey, X509Certificate } from "node:crypto";
import { lstat, mkdtemp, readlink, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type CertificateSigningRequest, readCertificateRequest } from "#api";
import { FakeClock, silentLogger } from "#base";
import { createClient } from "#client";
import { FakeTransport } from "#testing";
import { clientSigner, keepCertificate, requestCertificate, requestName, rotationAt } from "./certificate-manager.ts";
import { certificateRequest, createKey, selfSigned } from "./certificate-request.ts";
import { certificateStore, readPair } from "./certificate-store.ts";

const subject = { commonName: "system:node:n", organizations: ["system:nodes"] };
const names = { dnsNames: ["n", "n.example.com"], ipAddresses: ["10.0.0.7", "fd00::7"] };

test("certificate request: is read as the API server reads it, and signed by its key", () => {
  const key = createKey();
  const request = readCertificateRequest(certificateRequest({ ...subject, ...names }, key));
  assert.match(JSON.stringify(request), /system:node:n/);
  assert.deepEqual(request.dnsNames, names.dnsNames);
  assert.equal(request.ipAddresses.length, 2);
  assert.deepEqual(request.organizations, ["system:nodes"]);
});

test("self-signed certificate: names its server and lasts as long as it should", () => {
  const key = createKey();
  const now = Date.UTC(2049, 5, 1);
  const certificate = new X509Certificate(
    selfSigned({ ...subject, ...names }, key, { now, validMs: 365 * 86_400_000 }),
  );
  assert.ok(certificate.verify(createPublicKey(key)));
  assert.equal(certificate.validFromDate.getTime(), now);
  assert.equal(certificate.validToDate.getUTCFullYear(), 2050);
  assert.ok(certificate.checkHost("n.example.com") && certificate.checkIP("fd00::7"));
});

const pairOf = (now: number, validMs: number) => {
  const key = createKey();
  return { key, certificate: selfSigned(subject, key, { now, validMs }) };
};

test("certificate store: the newest is behind the link; what is damaged is nothing", async () => {
  const folder = await mkdtemp(join(tmpdir(), "pki-"));
  try {
    const store = certificateStore(join(folder, "pki"), "kubelet-client");
    assert.equal(await store.current(), undefined);
    const { key, certificate } = pairOf(0, 1000);
    await store.update(certificate, key);
    const current = await store.current();
    assert.equal(current?.certificate, certificate);
    assert.equal(current?.notAfter, 1000);
    const target = await readlink(store.currentPath);
    assert.match(target, /kubelet-client-\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d\.pem$/);
    assert.equal((await lstat(target)).mode & 0o777, 0o600);
    await writeFile(target, "nothing");
    assert.equal(await store.current(), undefined);
    assert.equal(readPair(`${key}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`), undefined);
  } finally {
    await rm(folder, { recursive: true });
  }
});

const collection = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

/** An API server that decides at once. */
function createApi(decide: (request: CertificateSigningRequest) => CertificateSigningRequest["status"]) {
  const api = new FakeTransport();
  const asked: CertificateSigningRequest[] = [];
  api.intercept = ({ method, path, body }) => {
    if (method !== "POST" || path !== collection) return undefined;
    const request = body as CertificateSigningRequest; // nothing else is made there
    asked.push(request);
    const name = request.metadata?.name ?? `csr-${asked.length}`;
    const made = { ...request, metadata: { ...request.metadata, name } };
    return api.create(path, { ...made, status: decide(request) } as never);
  };
  return { api, asked };
}

const approved = (certificate: string) => ({
  conditions: [{ type: "Approved", status: "True" }],
  certificate: Buffer.from(certificate).toString("base64"),
});

test("certificate from the API server: asked for by a name of its key; a denial is told", async () => {
  const signal = new AbortController().signal;
  const clock = new FakeClock(0);
  const key = createKey();
  const options = (api: FakeTransport) => ({
    ...{ client: createClient(api), clock, log: silentLogger, ...clientSigner, subject, key, waitMs: 1000 },
    name: requestName(key, subject),
  });
  const good = createApi(() => approved("PEM"));
  assert.equal(await requestCertificate(options(good.api), signal), "PEM");
  assert.match(good.asked[0]?.metadata?.name ?? "", /^node-csr-[\w-]{43}$/);
  assert.equal(good.asked[0]?.spec.signerName, "kubernetes.io/kube-apiserver-client-kubelet");
  assert.deepEqual(good.asked[0]?.spec.usages, ["digital signature", "client auth"]);
  // The same again: the request that is there is waited for.
  assert.equal(await requestCertificate(options(good.api), signal), "PEM");
  const denied = createApi(() => ({
    conditions: [{ type: "Denied", status: "True", reason: "No", message: "never" }],
  }));
  await assert.rejects(requestCertificate(options(denied.api), signal), {
    message: "certificate signing request is denied, reason: No, message: never",
  });
});

test("certificate: is replaced when most of its life is over", async () => {
  const folder = await mkdtemp(join(tmpdir(), "pki-"));
  const clock = new FakeClock(0);
  const store = certificateStore(folder, "kubelet-client");
  const hour = 3_600_000;
  const first = pairOf(0, hour);
  await store.update(first.certificate, first.key);
  const { api, asked } = createApi(() => approved(pairOf(clock.now(), hour).certificate));
  const stop = new AbortController();
  const turned = Promise.withResolvers<number>();
  const running = keepCertificate(
    {
      ...{ store, signer: clientSigner, client: createClient(api), clock, log: silentLogger },
      subject: async () => subject,
      onPair: ({ notAfter }) => turned.resolve(notAfter),
    },
    stop.signal,
  );
  try {
    for (let turns = 0; turns < 20; turns++) await new Promise(setImmediate);
    clock.advance(0.69 * hour);
    for (let turns = 0; turns < 20; turns++) await new Promise(setImmediate);
    assert.equal(asked.length, 0);
    clock.advance(0.22 * hour);
    assert.ok((await turned.promise) > 1.9 * hour);
    assert.match(asked[0]?.metadata?.generateName ?? "", /^csr-$/);
    assert.deepEqual(
      [
        rotationAt({ ...first, notBefore: 0, notAfter: 100 }, 0),
        rotationAt({ ...first, notBefore: 0, notAfter: 100 }, 1),
      ],
      [70, 90],
    );
  } finally {
    stop.abort();
    await running;
    await rm(folder, { recursive: true });
  }
});
