import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { createAuthority, issueCertificate } from "./certificates.ts";

const now = Date.now();
const leaf = {
  commonName: "system:node:n1",
  organizations: ["system:nodes", "a", "Ünits"],
  usages: ["client", "server"] as const,
  dnsNames: ["n1", `${"n".repeat(60)}.example.com`, `${"m".repeat(60)}.example.com`], // lengths of one byte, of two, of three
  ipAddresses: ["10.0.0.1", "2001:db8::1", "::1"],
  validDays: 365,
  now,
};

async function load() {
  await import("reflect-metadata"); // x509's container needs it first
  return import("@peculiar/x509");
}

test("certificates: OpenSSL reads an authority and what it signs, and verifies them", async () => {
  const pair = await createAuthority("kubernetes", { now, validDays: 3650 });
  const authority = new X509Certificate(pair.certificate);
  const issued = new X509Certificate((await issueCertificate(pair, leaf)).certificate);
  assert.ok(authority.ca && authority.verify(authority.publicKey) && authority.checkIssued(authority));
  assert.ok(!issued.ca && issued.verify(authority.publicKey) && issued.checkIssued(authority));
  assert.deepEqual(issued.subject.split("\n"), ["O=a + O=Ünits + O=system:nodes", "CN=system:node:n1"]);
  assert.ok(issued.checkHost("n1") && issued.checkIP("10.0.0.1") && issued.checkIP("2001:db8::1"));
  assert.deepEqual(issued.keyUsage, ["1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.1"]);
});

test("certificates: another reader finds the extensions, times and identities that were meant", async () => {
  const x509 = await load();
  const pair = await createAuthority("kubernetes", { now, validDays: 365 * 30 }); // beyond 2049
  const authority = new x509.X509Certificate(pair.certificate);
  const issued = new x509.X509Certificate((await issueCertificate(pair, leaf)).certificate);
  assert.ok(await authority.isSelfSigned());
  assert.ok(await issued.verify({ publicKey: authority }));
  assert.equal(Math.round((authority.notAfter.getTime() - now) / 86_400_000), 365 * 30);
  assert.equal(Math.floor(issued.notAfter.getTime() / 1000), Math.floor((now + 365 * 86_400_000) / 1000));
  const subjectKey = authority.getExtension(x509.SubjectKeyIdentifierExtension);
  const authorityKey = issued.getExtension(x509.AuthorityKeyIdentifierExtension);
  assert.equal(authorityKey?.keyId, subjectKey?.keyId);
  const { keyCertSign, cRLSign, digitalSignature, keyEncipherment } = x509.KeyUsageFlags;
  assert.equal(authority.getExtension(x509.KeyUsagesExtension)?.usages, keyCertSign | cRLSign | digitalSignature);
  assert.equal(issued.getExtension(x509.KeyUsagesExtension)?.usages, digitalSignature | keyEncipherment);
  assert.equal(issued.getExtension(x509.BasicConstraintsExtension)?.ca, false);
  assert.deepEqual(
    issued.getExtension(x509.SubjectAlternativeNameExtension)?.names.items.map(({ value }) => value),
    [...leaf.dnsNames, "10.0.0.1", "2001:db8::1", "::1"],
  );
});

test("certificates: an authority from elsewhere keeps its name as it is encoded", async () => {
  const x509 = await load();
  const keys = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
  const made = await x509.X509CertificateGenerator.createSelfSigned({
    name: "C=DE, O=Somebody, CN=an authority",
    keys,
    signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
    extensions: [new x509.BasicConstraintsExtension(true)],
  });
  const der = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
  const key = `-----BEGIN PRIVATE KEY-----\n${der}\n-----END PRIVATE KEY-----\n`;
  const issued = await issueCertificate({ certificate: made.toString("pem"), key }, leaf);
  assert.ok(new X509Certificate(issued.certificate).checkIssued(new X509Certificate(made.toString("pem"))));
});
