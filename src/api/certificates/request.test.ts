import assert from "node:assert/strict";
import { before, test } from "node:test";
import { CertificateRequestError, readCertificateRequest } from "./request.ts";
import { newRequest, newUserRequest } from "./trial-requests.ts";

const algorithms = {
  ecdsa: { name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" },
  rsa: { name: "RSASSA-PKCS1-v1_5", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" },
  ed25519: { name: "Ed25519" },
};
const made: Record<string, string> = {};
before(async () => {
  for (const [name, algorithm] of Object.entries(algorithms)) made[name] = await newRequest({ algorithm });
});

/** The text with one byte of the data turned around. */
function spoil(pem: string, position: number): string {
  const bytes = Buffer.from(pem.replace(/-----.*-----/g, ""), "base64");
  const at = position < 0 ? bytes.length + position : position;
  bytes[at] = (bytes[at] ?? 0) ^ 0xff;
  return `-----BEGIN CERTIFICATE REQUEST-----\n${bytes.toString("base64")}\n-----END CERTIFICATE REQUEST-----\n`;
}

const complaint = (pem: string): string => {
  try {
    readCertificateRequest(pem);
    return "";
  } catch (error) {
    assert.ok(error instanceof CertificateRequestError, String(error));
    return error.message;
  }
};

test("certificate requests: who, for which names", () => {
  for (const [name, pem] of Object.entries(made)) {
    const { publicKey, subject, ...rest } = readCertificateRequest(pem);
    assert.ok(subject.includes("system:node:n1"));
    assert.ok(publicKey.length > 40, name);
    assert.deepEqual(rest, {
      commonName: "system:node:n1",
      organizations: ["system:nodes", "Ünits"],
      dnsNames: ["n1.example.com"],
      ipAddresses: ["10.0.0.1", "2001:db8:0:0:0:0:0:1"],
      emailAddresses: ["a@example.com"],
      uris: ["https://example.com/a"],
    });
  }
});

test("certificate requests: text around the block is fine, a request without names too", async () => {
  const pem = await newUserRequest();
  const { commonName, organizations, dnsNames } = readCertificateRequest(`note\n${pem}more`);
  assert.deepEqual([commonName, organizations, dnsNames], ["alice", [], []]);
});

test("certificate requests: the key inside must have signed", () => {
  assert.equal(complaint(spoil(made.rsa ?? "", -1)), "crypto/rsa: verification error");
  assert.equal(complaint(spoil(made.ecdsa ?? "", -1)), "x509: ECDSA verification failure");
  assert.equal(complaint(spoil(made.ed25519 ?? "", -1)), "x509: Ed25519 verification failure");
});

test("certificate requests: what is none", () => {
  const wrongType = "PEM block type must be CERTIFICATE REQUEST";
  const cut = (made.ecdsa ?? "").replace(/\n[^-]*\n(?=-----END)/, "\n");
  const trailing = Buffer.concat([Buffer.from([0x30, 0x00]), Buffer.from([0x05, 0x00])]).toString("base64");
  const pem = (data: string) => `-----BEGIN CERTIFICATE REQUEST-----\n${data}\n-----END CERTIFICATE REQUEST-----`;
  const cases: [string, RegExp][] = [
    ["", new RegExp(wrongType)],
    ["garbage", new RegExp(wrongType)],
    [(made.ecdsa ?? "").replaceAll("CERTIFICATE REQUEST", "CERTIFICATE"), new RegExp(wrongType)],
    [cut, /^asn1: structure error: /],
    [pem(""), /^asn1: structure error: sequence truncated$/],
    [pem(trailing), /^asn1: syntax error: trailing data$/],
    [spoil(made.ecdsa ?? "", 0), /^asn1: structure error: tags don't match/],
    [spoil(made.ecdsa ?? "", 1), /^asn1: (structure|syntax) error: /], // what follows is random,
  ];
  for (const [text, expected] of cases) assert.match(complaint(text), expected);
});

test("certificate requests: no byte that is turned around makes the reader fail otherwise", () => {
  const pem = made.ecdsa ?? "";
  const length = Buffer.from(pem.replace(/-----.*-----/g, ""), "base64").length;
  for (let position = 0; position < length; position++) assert.notEqual(complaint(spoil(pem, position)), "");
});
