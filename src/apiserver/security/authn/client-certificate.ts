/**
 * Who shows a client certificate: its common name is the user, its organizations are the groups. The subject is read from the certificate's
 * bytes, because a text made of it has to be taken apart again, with whatever the holder put into it.
 */
import { X509Certificate } from "node:crypto";
import type { RequestUser } from "#api";
import type { PeerCertificate } from "../../http/exchange.ts";

/** A bundle of authorities. */
export interface Authorities {
  /** PEM. */
  readonly certificates: string;
  readonly fingerprints: ReadonlySet<string>;
}

/** Throws when there is none in the text. */
export function readAuthorities(pem: string): Authorities {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw new Error("data does not contain any valid RSA or ECDSA certificates");
  return {
    certificates: `${blocks.join("\n")}\n`,
    fingerprints: new Set(blocks.map((block) => new X509Certificate(block).fingerprint256)),
  };
}

/** By one of these, now. `now`: the certificate of a connection that stays open may come to its end. */
export function isTrusted(peer: PeerCertificate, { fingerprints }: Authorities, now: number): boolean {
  if (!peer.trusted || now > validToMs(peer.certificate)) return false;
  return fingerprints.has(peer.certificate.fingerprint256) || peer.issuers().some((each) => fingerprints.has(each));
}

const ends = new WeakMap<X509Certificate, number>();

function validToMs(certificate: X509Certificate): number {
  let end = ends.get(certificate);
  if (end === undefined) {
    end = certificate.validToDate.getTime();
    ends.set(certificate, end);
  }
  return end;
}

const users = new WeakMap<X509Certificate, RequestUser | "nameless" | "refused">();

/** Of a trusted certificate. Without a name nobody is meant; an unclear identity is refused. Made once for each connection. */
export function userOfCertificate(certificate: X509Certificate): RequestUser | "nameless" | "refused" {
  let user = users.get(certificate);
  if (!user) {
    user = readUser(certificate);
    users.set(certificate, user);
  }
  return user;
}

const commonName = "2.5.4.3";
const organization = "2.5.4.10";
/** Upstream's own number for a user's UID. */
const userUid = "1.3.6.1.4.1.57683.2";

function readUser(certificate: X509Certificate): RequestUser | "nameless" | "refused" {
  const subject = readSubject(certificate.raw);
  const all = (oid: string) => subject.filter((each) => each.oid === oid).map(({ value }) => value);
  const name = all(commonName).at(-1) ?? "";
  if (name === "") return "nameless";
  const uids = all(userUid);
  if (uids.length > 1 || uids[0] === "") return "refused";
  return {
    name,
    uid: uids[0] ?? "",
    groups: all(organization),
    extra: {
      "authentication.kubernetes.io/credential-id": [
        `X509SHA256=${certificate.fingerprint256.replaceAll(":", "").toLowerCase()}`,
      ],
    },
  };
}

export const commonNameOf = (certificate: X509Certificate): string =>
  readSubject(certificate.raw)
    .filter(({ oid }) => oid === commonName)
    .at(-1)?.value ?? "";

interface Attribute {
  readonly oid: string;
  readonly value: string;
}

/** All attributes of the subject, in order. `der`: a certificate that OpenSSL has read. */
export function readSubject(der: Uint8Array): Attribute[] {
  const certificate = new DerReader(der).enter(0x30);
  const body = certificate.enter(0x30);
  if (body.peek() === 0xa0) body.skip(); // version
  for (const _ of ["serial number", "signature", "issuer", "validity"]) body.skip();
  const subject = body.enter(0x30);
  const attributes: Attribute[] = [];
  while (!subject.done) {
    const set = subject.enter(0x31);
    while (!set.done) {
      const attribute = set.enter(0x30);
      const oid = printOid(attribute.take(0x06));
      attributes.push({ oid, value: decodeText(attribute.peek(), attribute.take(attribute.peek())) });
    }
  }
  return attributes;
}

class DerReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  peek(): number {
    return this.#bytes[this.#at] ?? 0;
  }

  skip(): void {
    this.take(this.peek());
  }

  enter(tag: number): DerReader {
    return new DerReader(this.take(tag));
  }

  /** The contents of the next element. */
  take(tag: number): Uint8Array {
    let length = this.#bytes[this.#at + 1] ?? 0;
    let start = this.#at + 2;
    if (length >= 0x80) {
      const count = length & 0x7f;
      length = 0;
      for (let i = 0; i < count; i++) length = length * 256 + (this.#bytes[start + i] ?? 0);
      start += count;
    }
    if (this.peek() !== tag || start + length > this.#bytes.length) throw new Error("malformed certificate");
    this.#at = start + length;
    return this.#bytes.subarray(start, this.#at);
  }
}

function printOid(bytes: Uint8Array): string {
  const numbers: number[] = [];
  let value = 0;
  for (const byte of bytes) {
    value = value * 128 + (byte & 0x7f);
    if (byte < 0x80) {
      numbers.push(value);
      value = 0;
    }
  }
  const [first = 0, ...rest] = numbers;
  const top = Math.min(Math.floor(first / 40), 2);
  return [top, first - top * 40, ...rest].join(".");
}

const bmpString = 0x1e;

function decodeText(tag: number, bytes: Uint8Array): string {
  return tag === bmpString ? new TextDecoder("utf-16be").decode(bytes) : new TextDecoder().decode(bytes);
}
