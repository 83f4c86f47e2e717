/** Keys, requests for certificates (PKCS #10) and certificates that a node signs itself: elliptic curve P-256, as upstream's nodes make. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { derTag, parseIp, writeDer } from "#api";

export interface CertificateSubject {
  readonly commonName: string;
  readonly organizations?: readonly string[];
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
}

/** PEM. */
export const createKey = (): string =>
  generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "sec1", format: "pem" }).toString();

const oid = {
  commonName: "550403",
  organization: "55040a",
  signature: "2a8648ce3d040302",
  extensionRequest: "2a864886f70d01090e",
  alternativeNames: "551d11",
  keyUsage: "551d0f",
  extendedKeyUsage: "551d25",
  basicConstraints: "551d13",
  serverAuth: "2b06010505070301",
} as const;

const tags = {
  printable: 0x13,
  utf8: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  attributes: 0xa0,
  dns: 0x82,
  ip: 0x87,
};

const { sequence, set, integer, bitString, octetString, boolean, oid: oidTag } = derTag;
const oidOf = (name: keyof typeof oid) => writeDer(oidTag, Buffer.from(oid[name], "hex"));
const bits = (content: Uint8Array) => writeDer(bitString, Buffer.from([0]), content);
const algorithm = () => writeDer(sequence, oidOf("signature"));

const text = (value: string) =>
  writeDer(/^[A-Za-z0-9 '()+,\-./:=?]*$/.test(value) ? tags.printable : tags.utf8, Buffer.from(value));

/** Organizations first, as Go orders them. */
function nameOf({ commonName, organizations = [] }: CertificateSubject): Buffer {
  const attribute = (name: keyof typeof oid, value: string) =>
    writeDer(set, writeDer(sequence, oidOf(name), text(value)));
  return writeDer(
    sequence,
    ...organizations.map((each) => attribute("organization", each)),
    attribute("commonName", commonName),
  );
}

function alternativeNames({ dnsNames = [], ipAddresses = [] }: CertificateSubject): Buffer | undefined {
  const names = [
    ...dnsNames.map((name) => writeDer(tags.dns, Buffer.from(name))),
    ...ipAddresses.map((address) => writeDer(tags.ip, bytesOf(address))),
  ];
  if (names.length === 0) return undefined;
  return extension("alternativeNames", writeDer(sequence, ...names));
}

function bytesOf(address: string): Buffer {
  const parsed = parseIp(address);
  if (!parsed) throw new Error(`${address} is no address`);
  return Buffer.from(parsed.bytes);
}

const extension = (name: keyof typeof oid, value: Uint8Array, isCritical = false): Buffer =>
  writeDer(
    sequence,
    oidOf(name),
    ...(isCritical ? [writeDer(boolean, Buffer.from([0xff]))] : []),
    writeDer(octetString, value),
  );

const publicKeyOf = (key: KeyObject): Buffer => createPublicKey(key).export({ type: "spki", format: "der" });

const signed = (content: Buffer, key: KeyObject): Buffer =>
  writeDer(sequence, content, algorithm(), bits(sign("sha256", content, key)));

const pem = (label: string, der: Buffer): string =>
  `-----BEGIN ${label}-----\n${(der.toString("base64").match(/.{1,64}/g) ?? []).join("\n")}\n-----END ${label}-----\n`;

/** `keyPem`: whose certificate it is to be. PEM. */
export function certificateRequest(subject: CertificateSubject, keyPem: string): string {
  const key = createPrivateKey(keyPem);
  const names = alternativeNames(subject);
  const asked = names ? [writeDer(sequence, oidOf("extensionRequest"), writeDer(set, writeDer(sequence, names)))] : [];
  const info = writeDer(
    sequence,
    writeDer(integer, Buffer.from([0])),
    nameOf(subject),
    publicKeyOf(key),
    writeDer(tags.attributes, ...asked),
  );
  return pem("CERTIFICATE REQUEST", signed(info, key));
}

/** For a server that nobody gave a certificate. Milliseconds; PEM. */
export function selfSigned(
  subject: CertificateSubject,
  keyPem: string,
  { now, validMs }: { now: number; validMs: number },
): string {
  const key = createPrivateKey(keyPem);
  const serial = Buffer.concat([Buffer.from([1]), randomBytes(15)]);
  const names = alternativeNames(subject);
  const extensions = [
    extension("keyUsage", writeDer(bitString, Buffer.from([5, 0xa0])), true),
    extension("extendedKeyUsage", writeDer(sequence, oidOf("serverAuth"))),
    extension("basicConstraints", writeDer(sequence), true),
    ...(names ? [names] : []),
  ];
  const certificate = writeDer(
    sequence,
    writeDer(tags.attributes, writeDer(integer, Buffer.from([2]))),
    writeDer(integer, serial),
    algorithm(),
    nameOf(subject),
    writeDer(sequence, timeOf(now), timeOf(now + validMs)),
    nameOf(subject),
    publicKeyOf(key),
    writeDer(0xa3, writeDer(sequence, ...extensions)),
  );
  return pem("CERTIFICATE", signed(certificate, key));
}

/** Two digits of the year until 2049, as X.509 wants. */
function timeOf(ms: number): Buffer {
  const digits = `${new Date(ms).toISOString().slice(0, 19).replace(/[-:T]/g, "")}Z`;
  const isLate = new Date(ms).getUTCFullYear() >= 2050;
  return writeDer(isLate ? tags.generalizedTime : tags.utcTime, Buffer.from(isLate ? digits : digits.slice(2)));
}
