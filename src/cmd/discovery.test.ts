import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { openPki, type Pki } from "#apiserver";
import { believed, checkHashes, keyHash } from "./discovery.ts";

const token = { id: "abcdef", secret: "0123456789abcdef" };
const encode = (text: string) => Buffer.from(text).toString("base64url");

function sign(content: string, { secret = token.secret, alg = "HS256" } = {}): string {
  const header = encode(JSON.stringify({ alg, kid: token.id }));
  const signature = createHmac("sha256", secret)
    .update(`${header}.${encode(content)}`)
    .digest("base64url");
  return `${header}..${signature}`;
}

suite("discovery", () => {
  let folder: string;
  let pki: Pki;
  let other: Pki;
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "discovery-"));
    const open = (name: string) =>
      openPki({
        directory: path.join(folder, name),
        now: Date.now(),
        serverNames: ["a"],
        serverAddresses: ["127.0.0.1"],
      });
    [pki, other] = await Promise.all([open("one"), open("other")]);
  });
  after(() => rm(folder, { recursive: true }));

  const kubeconfig = (...authorities: Pki[]) =>
    `clusters:\n- cluster:\n    certificate-authority-data: ${Buffer.from(authorities.map(({ authority }) => authority.certificate).join("")).toString("base64")}\n`;
  const info = (content: string, more = {}) => ({ kubeconfig: content, "jws-kubeconfig-abcdef": sign(content, more) });

  test("discovery: what the token signed is believed, with the authority that was named", () => {
    const wanted = keyHash(pki.authority.certificate);
    assert.match(wanted, /^sha256:[0-9a-f]{64}$/);
    const found = believed(info(kubeconfig(pki)), { token, hashes: [wanted] });
    assert.equal(found.trim(), pki.authority.certificate.trim());
    assert.equal(believed(info(kubeconfig(pki)), { token, hashes: [] }), found);
  });

  test("discovery: of several authorities only those that were named are trusted", () => {
    const hashes = [keyHash(other.authority.certificate)];
    const found = believed(info(kubeconfig(pki, other)), { token, hashes });
    assert.equal(found.trim(), other.authority.certificate.trim());
  });

  const refused: [title: string, data: () => Record<string, string>, hashes: string[], message: RegExp][] = [
    ["no kubeconfig", () => ({}), [], /has no kubeconfig/],
    [
      "no signature with this token",
      () => ({ kubeconfig: kubeconfig(pki) }),
      [],
      /token id "abcdef" is invalid for this cluster or it has expired/,
    ],
    [
      "a signature with another secret",
      () => info(kubeconfig(pki), { secret: "fedcba9876543210" }),
      [],
      /isn't signed with this token/,
    ],
    [
      "content that was changed",
      () => ({ ...info(kubeconfig(pki)), kubeconfig: kubeconfig(other) }),
      [],
      /isn't signed with this token/,
    ],
    [
      "a signature that says it is none",
      () => info(kubeconfig(pki), { alg: "none" }),
      [],
      /isn't signed with this token/,
    ],
    [
      "an empty signature",
      () => ({ kubeconfig: kubeconfig(pki), "jws-kubeconfig-abcdef": `${encode('{"alg":"HS256"}')}..` }),
      [],
      /isn't signed with this token/,
    ],
    [
      "what is no signature",
      () => ({ kubeconfig: kubeconfig(pki), "jws-kubeconfig-abcdef": "x" }),
      [],
      /isn't signed with this token/,
    ],
    ["no authority", () => info("clusters: []"), [], /names no authority/],
    [
      "another authority",
      () => info(kubeconfig(pki)),
      [`sha256:${"0".repeat(64)}`],
      /has the hash sha256:[0-9a-f]{64}, not sha256:0+ \(--ca-cert-hash\)/,
    ],
  ];
  for (const [title, data, hashes, message] of refused)
    test(`discovery: ${title} is refused`, () => assert.throws(() => believed(data(), { token, hashes }), message));

  test("discovery: hashes are kubeadm's", () => {
    assert.deepEqual(checkHashes([`sha256:${"A".repeat(64)}`]), [`sha256:${"a".repeat(64)}`]);
    for (const wrong of ["", "sha256:", "sha512:00", "a".repeat(64), `sha256:${"g".repeat(64)}`])
      assert.throws(() => checkHashes([wrong]), /want sha256: and 64 hexadecimal digits/);
  });
});
