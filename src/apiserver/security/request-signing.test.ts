import assert from "node:assert/strict";
import { type webcrypto, X509Certificate } from "node:crypto";
import { test } from "node:test";
import { readCertificateRequest } from "#api";
import { createAuthority, type KeyPair } from "./certificates.ts";
import { createRequestSigner } from "./request-signing.ts";

const now = Math.floor(Date.now() / 1000) * 1000;
const times = { notBefore: now - 300_000, notAfter: now + 3_600_000 };

async function load() {
  await import("reflect-metadata"); // x509's container needs it first
  return import("@peculiar/x509");
}

/** As administrators bring them: with names of keys that aren't made our way. */
async function authorityOf(algorithm: { name: string } & Record<string, unknown>): Promise<KeyPair> {
  const x509 = await load();
  const keys = (await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as webcrypto.CryptoKeyPair; // for these uses
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: "O=Somebody, CN=ca",
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true),
      new x509.SubjectKeyIdentifierExtension("0102030405060708090a0b0c0d0e0f1011121314"),
    ],
  });
  const der = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
  const key = `-----BEGIN PRIVATE KEY-----\n${der}\n-----END PRIVATE KEY-----\n`;
  return { certificate: certificate.toString("pem"), key };
}

async function newRequest(): Promise<string> {
  const x509 = await load();
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = (await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as webcrypto.CryptoKeyPair; // for these uses
  const names = new x509.SubjectAlternativeNameExtension([
    { type: "email", value: "a@example.com" },
    { type: "url", value: "https://example.com/a" },
    { type: "dns", value: "n1.example.com" },
    { type: "ip", value: "10.0.0.1" },
    { type: "ip", value: "2001:db8::1" },
  ]);
  const name = "O=system:nodes, O=Ünits, CN=system:node:n1";
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    ...{ name, keys, signingAlgorithm: algorithm, extensions: [names] },
  });
  return request.toString("pem");
}

const rsa = {
  ...{ name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", modulusLength: 2048 },
  publicExponent: new Uint8Array([1, 0, 1]),
};

test("request signing: keys of every kind sign, and the names and usages are those that were asked for", async () => {
  const x509 = await load();
  const request = readCertificateRequest(await newRequest());
  const authorities = [
    await createAuthority("kubernetes", { now, validDays: 10 }),
    await authorityOf(rsa),
    await authorityOf({ name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" }),
    await authorityOf({ name: "ECDSA", namedCurve: "P-521", hash: "SHA-512" }),
    await authorityOf({ name: "Ed25519" }),
  ];
  for (const pair of authorities) {
    const signer = createRequestSigner(pair);
    const pem = signer.sign(request, { usages: ["client auth", "decipher only", "signing", "server auth"], ...times });
    const [issued, authority] = [new X509Certificate(pem), new X509Certificate(pair.certificate)];
    assert.ok(issued.checkIssued(authority) && issued.verify(authority.publicKey));
    assert.equal(issued.subject, "O=system:nodes\nO=Ünits\nCN=system:node:n1");
    assert.deepEqual(issued.keyUsage, ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
    assert.deepEqual([Date.parse(issued.validFrom), Date.parse(issued.validTo)], [times.notBefore, times.notAfter]);
    assert.ok(issued.publicKey.export({ type: "spki", format: "der" }).equals(request.publicKey));
    const other = new x509.X509Certificate(pem);
    const flags = x509.KeyUsageFlags;
    assert.equal(other.getExtension(x509.KeyUsagesExtension)?.usages, flags.digitalSignature | flags.decipherOnly);
    assert.equal(other.getExtension(x509.BasicConstraintsExtension)?.ca, false);
    assert.deepEqual(
      other.getExtension(x509.SubjectAlternativeNameExtension)?.names.items.map(({ value }) => value),
      ["n1.example.com", "a@example.com", "10.0.0.1", "2001:db8::1", "https://example.com/a"],
    );
    assert.equal(
      other.getExtension(x509.AuthorityKeyIdentifierExtension)?.keyId,
      new x509.X509Certificate(pair.certificate).getExtension(x509.SubjectKeyIdentifierExtension)?.keyId,
    );
  }
});

test("request signing: what can't be signed with is told", async () => {
  const [one, other] = await Promise.all([1, 2].map(() => createAuthority("a", { now, validDays: 1 })));
  assert.ok(one && other);
  assert.throws(() => createRequestSigner({ ...one, key: other.key }), /doesn't belong/);
  const request = readCertificateRequest(await newRequest());
  assert.throws(
    () => createRequestSigner(one).sign(request, { usages: ["client auth", "x", "y"], ...times }),
    /unrecognized usage values: \["x" "y"\]/,
  );
});
