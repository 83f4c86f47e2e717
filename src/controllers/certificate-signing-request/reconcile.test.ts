import assert from "node:assert/strict";
import { test } from "node:test";
import type { CertificateRequest, CertificateSigningRequest } from "#api";
import { ago, testNow } from "../lib/fixture.ts";
import { isDecided, isToSign, recognize, removalTime, requestProblem, signerNames, validity } from "./reconcile.ts";

const content = (change: Partial<CertificateRequest> = {}): CertificateRequest => ({
  ...{
    subject: Buffer.alloc(0),
    publicKey: Buffer.alloc(0),
    commonName: "system:node:n1",
    organizations: ["system:nodes"],
  },
  ...{ dnsNames: [], ipAddresses: [], emailAddresses: [], uris: [], ...change },
});
const csr = (
  conditions: { type: string; status?: string; seconds?: number }[],
  { certificate, ...spec }: Partial<CertificateSigningRequest["spec"]> & { certificate?: string } = {},
): CertificateSigningRequest => ({
  metadata: { name: "c", creationTimestamp: ago(7200) },
  spec: { request: "", signerName: signerNames.kubeletClient, ...spec },
  status: {
    conditions: conditions.map(({ type, status = "True", seconds }) => ({
      ...{ type, status, ...(seconds === undefined ? {} : { lastUpdateTime: ago(seconds) }) },
    })),
    ...(certificate === undefined ? {} : { certificate }),
  },
});
const clientUsages = ["digital signature", "key encipherment", "client auth"];
const servingUsages = ["digital signature", "key encipherment", "server auth"];

test("certificate requests: each signer refuses what isn't its own, with upstream's words", () => {
  const { client, kubeletClient, kubeletServing, legacyUnknown } = signerNames;
  const served = { dnsNames: ["n1"] };
  const usageText = (usage: string) => `usages did not match [digital signature key encipherment ${usage} auth]`;
  const cases: [keyof typeof signerNames, Partial<CertificateRequest>, string[], string | undefined][] = [
    ["client", {}, ["client auth"], undefined],
    ["client", { organizations: ["any"] }, clientUsages, undefined],
    ["client", {}, ["digital signature"], "missing required usage for client certificate: client auth"],
    ["client", {}, ["client auth", "server auth"], "invalid usage for client certificate: server auth"],
    ["kubeletClient", {}, clientUsages, undefined],
    ["kubeletClient", {}, ["client auth", "digital signature"], undefined],
    ["kubeletClient", {}, ["client auth"], usageText("client")],
    ["kubeletClient", {}, [...clientUsages, "server auth"], usageText("client")],
    ["kubeletClient", { organizations: [] }, clientUsages, "subject organization is not system:nodes"],
    [
      "kubeletClient",
      { organizations: ["system:nodes", "a"] },
      clientUsages,
      "subject organization is not system:nodes",
    ],
    ["kubeletClient", { dnsNames: ["a"] }, clientUsages, "DNS subjectAltNames are not allowed"],
    ["kubeletClient", { ipAddresses: ["1.1.1.1"] }, clientUsages, "IP subjectAltNames are not allowed"],
    ["kubeletClient", { emailAddresses: ["a@b"] }, clientUsages, "Email subjectAltNames are not allowed"],
    ["kubeletClient", { uris: ["http://a"] }, clientUsages, "URI subjectAltNames are not allowed"],
    ["kubeletClient", { commonName: "n1" }, [], "subject common name does not begin with system:node:"],
    ["kubeletServing", served, servingUsages, undefined],
    ["kubeletServing", { ipAddresses: ["1.1.1.1"] }, ["server auth", "digital signature"], undefined],
    ["kubeletServing", {}, servingUsages, "DNS or IP subjectAltName is required"],
    ["kubeletServing", { ...served, emailAddresses: ["a@b"] }, servingUsages, "Email subjectAltNames are not allowed"],
    ["kubeletServing", { ...served, uris: ["http://a"] }, servingUsages, "URI subjectAltNames are not allowed"],
    ["kubeletServing", { ...served, commonName: "n1" }, [], usageText("server")],
    [
      "kubeletServing",
      { ...served, commonName: "n1" },
      servingUsages,
      "subject common name does not begin with system:node:",
    ],
    ["legacyUnknown", { organizations: [], uris: ["http://a"] }, ["any"], undefined],
  ];
  const names = { client, kubeletClient, kubeletServing, legacyUnknown };
  for (const [signer, change, usages, problem] of cases)
    assert.equal(
      requestProblem(names[signer], content(change), usages),
      problem,
      `${signer} ${JSON.stringify(change)}`,
    );
});

test("certificate requests: signed only when approved, not denied, not failed, not yet signed", () => {
  const cases: [CertificateSigningRequest, toSign: boolean, decided: boolean][] = [
    [csr([]), false, false],
    [csr([{ type: "Approved" }]), true, true],
    [csr([{ type: "Approved" }, { type: "Denied" }]), false, true],
    [csr([{ type: "Approved" }, { type: "Failed" }]), false, true],
    [csr([{ type: "Approved" }, { type: "Failed", status: "False" }]), true, true],
    [csr([{ type: "Failed" }]), false, false],
    [csr([{ type: "Approved" }], { certificate: "YQ==" }), false, true],
  ];
  for (const [request, toSign, decided] of cases)
    assert.deepEqual([isToSign(request), isDecided(request)], [toSign, decided], JSON.stringify(request.status));
});

test("certificate requests: how long a certificate lives", () => {
  const [minute, hour, day] = [60_000, 3_600_000, 86_400_000];
  const cases: [asked: number | undefined, durationMs: number, leftMs: number, lives: number][] = [
    [undefined, 365 * day, 3650 * day, 365 * day - 5 * minute],
    [3600, 365 * day, 3650 * day, hour],
    [60, 365 * day, 3650 * day, 10 * minute],
    [10 * 86_400, day, 3650 * day, day - 5 * minute],
    [7 * 3600, 365 * day, 3650 * day, 7 * hour],
    [8 * 3600, 365 * day, 3650 * day, 8 * hour - 5 * minute],
    [undefined, 365 * day, 30 * day, 30 * day],
    [undefined, minute, 30 * day, minute],
  ];
  for (const [asked, durationMs, leftMs, lives] of cases) {
    const { notBefore, notAfter } = validity(asked, { durationMs, validUntil: testNow + leftMs }, testNow);
    assert.deepEqual(
      [notBefore - testNow, notAfter - testNow],
      [-5 * minute, lives],
      `${asked} ${durationMs} ${leftMs}`,
    );
  }
  assert.throws(() => validity(undefined, { durationMs: day, validUntil: testNow }, testNow), /expired in the past/);
});

test("certificate requests: which kubelets' requests may be approved unasked", () => {
  const found = (change: Partial<CertificateRequest>, spec: Partial<CertificateSigningRequest["spec"]>) =>
    recognize(csr([], { usages: clientUsages, ...spec }), content(change)).map(({ subresource }) => subresource);
  assert.deepEqual(found({}, { username: "system:node:n1" }), ["selfnodeclient", "nodeclient"]);
  assert.deepEqual(found({}, { username: "system:bootstrap:abc" }), ["nodeclient"]);
  assert.deepEqual(found({ dnsNames: ["a"] }, { username: "system:node:n1" }), []);
  assert.deepEqual(found({}, { signerName: signerNames.kubeletServing }), []);
  assert.deepEqual(found({}, { usages: servingUsages }), []);
});

test("certificate requests: when they are removed", () => {
  const hours = (request: CertificateSigningRequest) => (removalTime(request) - testNow) / 3_600_000;
  const cases: [CertificateSigningRequest, number][] = [
    [csr([]), 22],
    [csr([{ type: "Approved", seconds: 0 }]), 24],
    [csr([{ type: "Approved", seconds: 3600 }], { certificate: "YQ==" }), 0],
    [csr([{ type: "Approved" }]), Infinity],
    [csr([{ type: "Denied", seconds: 1800 }]), 0.5],
    [csr([{ type: "Failed", seconds: 7200 }]), -1],
    [
      csr([
        { type: "Approved", seconds: 0 },
        { type: "Failed", seconds: 0 },
      ]),
      1,
    ],
    [csr([{ type: "Other", seconds: 99 }]), Infinity],
  ];
  for (const [request, want] of cases) assert.equal(hours(request), want, JSON.stringify(request.status));
});
