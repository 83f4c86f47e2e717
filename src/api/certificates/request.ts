/**
 * PKCS#10 certificate requests: who wants a certificate, for which names, and whether the key is theirs.
 * Node.js reads certificates but no requests; `@peculiar/x509` does, but checks signatures only asynchronously, and validation isn't.
 */
import { createPublicKey, type KeyObject, verify } from "node:crypto";
import { contentOf, DerError, type DerElement, derTag, readDer, readInside, readOid } from "./der.ts";
import { readPem } from "./pem.ts";

export interface CertificateRequest {
  /** DER of the whole name. */
  readonly subject: Buffer;
  readonly commonName: string;
  readonly organizations: readonly string[];
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly emailAddresses: readonly string[];
  readonly uris: readonly string[];
  /** DER of the SubjectPublicKeyInfo. */
  readonly publicKey: Buffer;
}

interface Signed {
  /** What is signed. */
  readonly info: DerElement;
  readonly algorithm: string;
  readonly signature: Buffer;
}

/** What is wrong with a request, in Go's words where they don't speak of Go's decoder. */
export class CertificateRequestError extends Error {
  override name = "CertificateRequestError";
}

const commonNameOid = "2.5.4.3";
const organizationOid = "2.5.4.10";
const extensionRequestOid = "1.2.840.113549.1.9.14";
const subjectAltNameOid = "2.5.29.17";

const hashes: Readonly<Record<string, string | null>> = {
  "1.2.840.113549.1.1.5": "sha1",
  "1.2.840.113549.1.1.11": "sha256",
  "1.2.840.113549.1.1.12": "sha384",
  "1.2.840.113549.1.1.13": "sha512",
  "1.2.840.10045.4.1": "sha1",
  "1.2.840.10045.4.3.2": "sha256",
  "1.2.840.10045.4.3.3": "sha384",
  "1.2.840.10045.4.3.4": "sha512",
  // Ed25519 hashes by itself.
  "1.3.101.112": null,
};

/** Throws CertificateRequestError, also when the signature is not that of the key inside. */
export function readCertificateRequest(pem: string): CertificateRequest {
  const [block] = readPem(pem);
  if (block?.type !== "CERTIFICATE REQUEST") {
    throw new CertificateRequestError("PEM block type must be CERTIFICATE REQUEST");
  }
  try {
    const signed = readSigned(block.bytes);
    const request = readInfo(signed.info);
    checkSignature(signed, request.publicKey);
    return request;
  } catch (error) {
    if (error instanceof DerError) throw new CertificateRequestError(`asn1: structure error: ${error.message}`);
    throw error;
  }
}

function readSigned(bytes: Buffer): Signed {
  const [whole, ...rest] = readDer(bytes);
  if (rest.length > 0) throw new CertificateRequestError("asn1: syntax error: trailing data");
  const [info, algorithm, signature] = readInside(whole, derTag.sequence);
  if (!info) throw new DerError("sequence truncated");
  const [oid] = readInside(algorithm, derTag.sequence);
  return { info, algorithm: readOid(oid), signature: readBits(signature) };
}

/** The first byte says how many bits of the last one are unused: in signatures none. */
function readBits(element: DerElement | undefined): Buffer {
  const bytes = contentOf(element, derTag.bitString);
  if (bytes.length === 0) throw new DerError("zero length BIT STRING");
  if (bytes[0] !== 0) throw new DerError("invalid padding bits in BIT STRING");
  return bytes.subarray(1);
}

function readInfo(info: DerElement): CertificateRequest {
  const [, subject, publicKey, attributes] = readInside(info, derTag.sequence);
  if (!subject || !publicKey) throw new DerError("sequence truncated");
  const names = readNames(attributes);
  return {
    subject: subject.encoded,
    commonName: readSubject(subject, commonNameOid).at(-1) ?? "",
    organizations: readSubject(subject, organizationOid),
    publicKey: publicKey.encoded,
    ...names,
  };
}

/** The values of one attribute of a name, in order. */
function readSubject(subject: DerElement | undefined, wanted: string): string[] {
  const values: string[] = [];
  for (const set of readInside(subject, derTag.sequence)) {
    for (const pair of readInside(set, derTag.set)) {
      const [oid, value] = readInside(pair, derTag.sequence);
      if (readOid(oid) === wanted && value) values.push(value.content.toString("utf8"));
    }
  }
  return values;
}

type Names = Pick<CertificateRequest, "dnsNames" | "ipAddresses" | "emailAddresses" | "uris">;

function readNames(attributes: DerElement | undefined): Names {
  const names = {
    dnsNames: [] as string[],
    ipAddresses: [] as string[],
    emailAddresses: [] as string[],
    uris: [] as string[],
  };
  for (const extension of readExtensions(attributes)) {
    // A flag may stand between the two.
    const parts = readInside(extension, derTag.sequence);
    if (readOid(parts[0]) !== subjectAltNameOid) continue;
    const [list] = readDer(contentOf(parts.at(-1), derTag.octetString));
    for (const { tag, content } of readInside(list, derTag.sequence)) {
      if (tag === 0x81) names.emailAddresses.push(content.toString("latin1"));
      else if (tag === 0x82) names.dnsNames.push(content.toString("latin1"));
      else if (tag === 0x86) names.uris.push(content.toString("latin1"));
      else if (tag === 0x87) names.ipAddresses.push(printAddress(content));
    }
  }
  return names;
}

function readExtensions(attributes: DerElement | undefined): DerElement[] {
  return readDer(attributes?.content ?? Buffer.alloc(0)).flatMap((attribute) => {
    const [oid, values] = readInside(attribute, derTag.sequence);
    if (readOid(oid) !== extensionRequestOid) return [];
    return readInside(readInside(values, derTag.set)[0], derTag.sequence);
  });
}

function printAddress(bytes: Buffer): string {
  if (bytes.length === 4) return [...bytes].join(".");
  const groups = Array.from({ length: bytes.length >> 1 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16));
  return groups.join(":");
}

function checkSignature({ info, algorithm, signature }: Signed, publicKey: Buffer): void {
  const hash = Object.hasOwn(hashes, algorithm) ? hashes[algorithm] : undefined;
  if (hash === undefined) {
    throw new CertificateRequestError("x509: cannot verify signature: algorithm unimplemented");
  }
  const key = readKey(publicKey);
  if (verifies(hash, info.encoded, key, signature)) return;
  const type = key.asymmetricKeyType;
  if (type === "rsa") throw new CertificateRequestError("crypto/rsa: verification error");
  throw new CertificateRequestError(`x509: ${type === "ec" ? "ECDSA" : "Ed25519"} verification failure`);
}

function readKey(der: Buffer): KeyObject {
  try {
    return createPublicKey({ key: der, format: "der", type: "spki" });
  } catch {
    // OpenSSL's reasons mean nothing to whoever reads this.
    throw new CertificateRequestError("x509: unsupported public key in certificate request");
  }
}

function verifies(hash: string | null, data: Buffer, key: KeyObject, signature: Buffer): boolean {
  try {
    return verify(hash, data, key, signature);
  } catch {
    // The key doesn't sign in this way at all.
    return false;
  }
}
