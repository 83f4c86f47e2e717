import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { whyNoKeyPair } from "./key-pair.ts";

const block = (type: string) => `-----BEGIN ${type}-----\nAAAA\n-----END ${type}-----\n`;
const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" });

for (const [name, certificate, keys, why] of [
  ["nothing", "x", "y", "tls: failed to find any PEM data in certificate input"],
  [
    "switched",
    String(key),
    block("CERTIFICATE"),
    "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched",
  ],
  [
    "other blocks",
    block("A") + block("B"),
    "",
    'tls: failed to find "CERTIFICATE" PEM block in certificate input after skipping PEM blocks of the following types: [A B]',
  ],
  ["no key", block("CERTIFICATE"), "", "tls: failed to find any PEM data in key input"],
  [
    "two certificates",
    block("CERTIFICATE"),
    block("CERTIFICATE"),
    "tls: found a certificate rather than a key in the PEM for the private key",
  ],
  ["no certificate inside", block("CERTIFICATE"), String(key), "x509: malformed certificate"],
] as const) {
  test(`key pair: ${name}`, () => assert.equal(whyNoKeyPair(certificate, keys), why));
}
