/**
 * Issues X.509 certificates: the cluster's authority and what it signs. They are two fixed shapes, written here in DER, while keys and signatures
 * are OpenSSL's: a library for it cost the first start 100 ms and kept 13 MB (docs/decisions/0006-x509.md). Shapes follow RFC 5280 and what
 * upstream issues. Keys are ECDSA P-256: quick to make (an RSA key costs up to half a second of a cold start).
 */
import {
  createHash,
  createPrivateKey,
  generateKeyPair,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from "node:crypto";
import { promisify } from "node:util";
import { contentOf, derTag, parseIp, readDer, readInside, writeDer } from "#api";
import { assert } from "#base";

/** PEM texts; the key is PKCS#8. */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

export interface LeafRequest {
  readonly commonName: string;
  /** Groups, for a client certificate. */
  readonly organizations?: readonly string[];
  readonly usages: readonly ("client" | "server")[];
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  readonly validDays: number;
}

const dayMs = 24 * 3600 * 1000;
/** Certificates are valid a little before they are made, for clocks that are behind. */
const skewMs = 5 * 60 * 1000;

const { sequence, set, octetString, bitString, integer, boolean: booleanTag } = derTag;
const [nullTag, utf8String, utcTime, generalizedTime] = [0x05, 0x0c, 0x17, 0x18];
/** Fields that a number distinguishes: those that contain elements, and those that are a value. */
const numbered = (number: number, content: Buffer) => writeDer(0xa0 + number, content);
const numberedValue = (number: number, content: Buffer) => writeDer(0x80 + number, content);

/** How an authority signs, by the kind of its key; as Go chooses. */
const rsaWithSha256 = "1.2.840.113549.1.1.11";
const curves: Readonly<Record<string, readonly [oid: string, hash: string]>> = {
  prime256v1: ["1.2.840.10045.4.3.2", "sha256"],
  secp384r1: ["1.2.840.10045.4.3.3", "sha384"],
  secp521r1: ["1.2.840.10045.4.3.4", "sha512"],
};
const ed25519 = "1.3.101.112";

const oid = {
  commonName: "2.5.4.3",
  organization: "2.5.4.10",
  subjectKeyId: "2.5.29.14",
  keyUsage: "2.5.29.15",
  alternativeNames: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  authorityKeyId: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
  server: "1.3.6.1.5.5.7.3.1",
  client: "1.3.6.1.5.5.7.3.2",
} as const;
/** Bits are counted from the left; the first byte says how many at the right are not meant. */
const keyUsage = {
  digitalSignatureAndSigning: Buffer.from([1, 0b1000_0110]),
  digitalSignatureAndEncipherment: Buffer.from([5, 0b1010_0000]),
};

export async function createAuthority(
  commonName: string,
  options: { now: number; validDays: number },
): Promise<KeyPair> {
  const keys = await newKeys();
  const subject = writeName({ commonName });
  const extensions = [
    writeExtension("basicConstraints", writeDer(sequence, writeDer(booleanTag, Buffer.from([0xff]))), true),
    writeExtension("keyUsage", writeDer(bitString, keyUsage.digitalSignatureAndSigning), true),
    writeExtension("subjectKeyId", writeDer(octetString, keyId(keys.publicKey))),
  ];
  return issueWithKey(keys, { ...options, subject, extensions, issuer: subject, signer: keys.privateKey });
}

/** A server's certificate that nobody trusts: for those who only want the connection to be encrypted. */
export async function selfSignedPair(name: string, now: number): Promise<KeyPair> {
  const validDays = 365;
  const authority = await createAuthority(`${name}-ca`, { now, validDays });
  const names = { dnsNames: [name], ipAddresses: ["127.0.0.1"] };
  return issueCertificate(authority, { commonName: name, usages: ["server"], validDays, now, ...names });
}

export async function issueCertificate(authority: KeyPair, leaf: LeafRequest & { now: number }): Promise<KeyPair> {
  const keys = await newKeys();
  const issuer = new X509Certificate(authority.certificate);
  const extensions = [
    writeExtension("basicConstraints", writeDer(sequence), true),
    writeExtension("keyUsage", writeDer(bitString, keyUsage.digitalSignatureAndEncipherment), true),
    writeExtension("extendedKeyUsage", writeDer(sequence, ...leaf.usages.map((usage) => writeOid(oid[usage])))),
    ...writeNames(leaf),
    ...writeIssuerKey(issuer),
  ];
  const signer = createPrivateKey(authority.key);
  return issueWithKey(keys, { ...leaf, subject: writeName(leaf), extensions, issuer: subjectOf(issuer), signer });
}

interface Issue {
  /** DER of the SubjectPublicKeyInfo. */
  readonly publicKey: Buffer;
  readonly subject: Buffer;
  readonly issuer: Buffer;
  /** The issuer's key. */
  readonly signer: KeyObject;
  readonly extensions: readonly Buffer[];
  /** Milliseconds. */
  readonly notBefore: number;
  readonly notAfter: number;
}

type Keys = Awaited<ReturnType<typeof newKeys>>;

function issueWithKey(
  { publicKey, privateKey }: Keys,
  { now, validDays, ...rest }: Omit<Issue, "publicKey" | "notBefore" | "notAfter"> & { now: number; validDays: number },
): KeyPair {
  const times = { notBefore: now - skewMs, notAfter: now + validDays * dayMs };
  const certificate = issue({ ...rest, ...times, publicKey: publicKey.export({ type: "spki", format: "der" }) });
  return { certificate, key: privateKey.export({ type: "pkcs8", format: "pem" }).toString() };
}

/** PEM. */
export function issue({ publicKey, subject, issuer, signer, extensions, notBefore, notAfter }: Issue): string {
  const { algorithm, hash } = signatureOf(signer);
  const toSign = writeDer(
    sequence,
    numbered(0, writeDer(integer, Buffer.from([2]))), // the third version, the one with extensions
    writeDer(integer, newSerial()),
    algorithm,
    issuer,
    writeDer(sequence, writeTime(notBefore), writeTime(notAfter)),
    subject,
    publicKey,
    numbered(3, writeDer(sequence, ...extensions)),
  );
  const signature = sign(hash, toSign, signer);
  const certificate = writeDer(sequence, toSign, algorithm, writeDer(bitString, Buffer.from([0]), signature));
  return new X509Certificate(certificate).toString();
}

function signatureOf({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject) {
  if (type === "rsa")
    return { algorithm: writeDer(sequence, writeOid(rsaWithSha256), writeDer(nullTag)), hash: "sha256" };
  if (type === "ed25519") return { algorithm: writeDer(sequence, writeOid(ed25519)), hash: null };
  const known = curves[details?.namedCurve ?? ""];
  assert(known, "keys of authorities are looked at when they are read");
  return { algorithm: writeDer(sequence, writeOid(known[0])), hash: known[1] };
}

/** Keys that `issue` signs with. */
export const canSign = ({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): boolean =>
  type === "rsa" || type === "ed25519" || (details?.namedCurve ?? "") in curves;

const newKeys = () => promisify(generateKeyPair)("ec", { namedCurve: "P-256" });

/** 127 random bits, never zero, positive, and no byte too many. */
function newSerial(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x01;
  return bytes;
}

/** RFC 5280's first way: of the key's bits, without what says their length. */
function keyId(key: KeyObject): Buffer {
  const [, bits] = readInside(readDer(key.export({ type: "spki", format: "der" }))[0], sequence);
  return createHash("sha1").update(contentOf(bits, bitString).subarray(1)).digest();
}

/** What is signed of it, field by field. */
const fieldsOf = ({ raw }: X509Certificate) => readInside(readInside(readDer(raw)[0], sequence)[0], sequence);

/** As encoded: an issuer must be named to the byte as it names itself. */
export function subjectOf(certificate: X509Certificate): Buffer {
  const subject = fieldsOf(certificate)[5];
  assert(subject, "OpenSSL has read this certificate, so it has a subject");
  return subject.encoded;
}

/** Which of the issuer's keys signed, in the issuer's own words; nothing when it doesn't name its key. */
export function writeIssuerKey(issuer: X509Certificate): Buffer[] {
  const extensions = fieldsOf(issuer).find(({ tag }) => tag === 0xa3);
  const [list] = extensions ? readDer(extensions.content) : [];
  for (const { content } of list ? readInside(list, sequence) : []) {
    const parts = readDer(content);
    if (!parts[0]?.encoded.equals(writeOid(oid.subjectKeyId))) continue;
    const [id] = readDer(contentOf(parts.at(-1), octetString));
    if (id) return [writeExtension("authorityKeyId", writeDer(sequence, numberedValue(0, id.content)))];
  }
  return [];
}

export interface Names {
  readonly dnsNames?: readonly string[];
  readonly emailAddresses?: readonly string[];
  readonly ipAddresses?: readonly string[];
  readonly uris?: readonly string[];
}

/** Critical when there is no other name. */
export function writeNames({ dnsNames, emailAddresses, ipAddresses, uris }: Names, isCritical = false): Buffer[] {
  const texts = (number: number, values: readonly string[] = []) =>
    values.map((value) => numberedValue(number, Buffer.from(value)));
  const names = [
    ...texts(2, dnsNames),
    ...texts(1, emailAddresses),
    ...(ipAddresses ?? []).map((address) => numberedValue(7, addressBytes(address))),
    ...texts(6, uris),
  ];
  return names.length > 0 ? [writeExtension("alternativeNames", writeDer(sequence, ...names), isCritical)] : [];
}

function writeName({ commonName, organizations = [] }: Pick<LeafRequest, "commonName" | "organizations">): Buffer {
  const attribute = (type: string, value: string) =>
    writeDer(sequence, writeOid(type), writeDer(utf8String, Buffer.from(value)));
  const groups = organizations.map((name) => attribute(oid.organization, name)).sort(Buffer.compare); // a set's order
  return writeDer(
    sequence,
    ...(groups.length > 0 ? [writeDer(set, ...groups)] : []),
    writeDer(set, attribute(oid.commonName, commonName)),
  );
}

export function writeExtension(type: keyof typeof oid, value: Buffer, isCritical = false): Buffer {
  const critical = isCritical ? [writeDer(booleanTag, Buffer.from([0xff]))] : [];
  return writeDer(sequence, writeOid(oid[type]), ...critical, writeDer(octetString, value));
}

export function writeOid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split(".").map(Number);
  const bytes = [40 * first + second];
  for (const part of rest) {
    const groups = [part & 0x7f];
    for (let left = part >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return writeDer(derTag.oid, Buffer.from(bytes));
}

function addressBytes(text: string): Buffer {
  const address = parseIp(text);
  assert(address, `certificates are asked for with addresses, "${text}" is none`);
  return Buffer.from(address.bytes);
}

/** Seconds; the short form until 2049, as RFC 5280 wants it. */
function writeTime(timeMs: number): Buffer {
  const time = new Date(timeMs);
  const text = `${time.toISOString().replace(/[-:T]|\..*/g, "")}Z`;
  const isShort = time.getUTCFullYear() < 2050;
  return isShort ? writeDer(utcTime, Buffer.from(text.slice(2))) : writeDer(generalizedTime, Buffer.from(text));
}
