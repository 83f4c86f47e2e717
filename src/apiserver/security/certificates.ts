/**
 * Issues X.509 certificates: the cluster's authority and what it signs. `@peculiar/x509` is loaded on first use only, because
 * most starts find their certificates on disk. Keys are ECDSA P-256: quick to make (an RSA key costs up to half a second of a cold start).
 */
import { createPrivateKey, createPublicKey, randomBytes, webcrypto } from "node:crypto";

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

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const dayMs = 24 * 3600 * 1000;
/** Certificates are valid a little before they are made, for clocks that are behind. */
const skewMs = 5 * 60 * 1000;

async function load() {
  await import("reflect-metadata"); // x509's container needs it first
  const x509 = await import("@peculiar/x509");
  x509.cryptoProvider.set(webcrypto as Crypto); // the same object under two declarations
  return x509;
}

export async function createAuthority(
  commonName: string,
  options: { now: number; validDays: number },
): Promise<KeyPair> {
  const x509 = await load();
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: [{ CN: [commonName] }],
    notBefore: new Date(options.now - skewMs),
    notAfter: new Date(options.now + options.validDays * dayMs),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: certificate.toString("pem") + "\n", key: await exportKey(keys.privateKey) };
}

/** A server's certificate that nobody trusts: for those who only want the connection to be encrypted. */
export async function selfSignedPair(name: string, now: number): Promise<KeyPair> {
  const validDays = 365;
  const authority = await createAuthority(`${name}-ca`, { now, validDays });
  const names = { dnsNames: [name], ipAddresses: ["127.0.0.1"] };
  return issueCertificate(authority, { commonName: name, usages: ["server"], validDays, now, ...names });
}

export async function issueCertificate(authority: KeyPair, leaf: LeafRequest & { now: number }): Promise<KeyPair> {
  const x509 = await load();
  const keys = await newKeys();
  const issuer = new x509.X509Certificate(authority.certificate);
  const names = [
    ...(leaf.dnsNames ?? []).map((value) => ({ type: "dns" as const, value })),
    ...(leaf.ipAddresses ?? []).map((value) => ({ type: "ip" as const, value })),
  ];
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: newSerial(),
    subject: [...(leaf.organizations?.length ? [{ O: [...leaf.organizations] }] : []), { CN: [leaf.commonName] }],
    issuer: issuer.subject,
    notBefore: new Date(leaf.now - skewMs),
    notAfter: new Date(leaf.now + leaf.validDays * dayMs),
    signingAlgorithm: algorithm,
    publicKey: keys.publicKey,
    signingKey: await importKey(authority.key),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment, true),
      new x509.ExtendedKeyUsageExtension(
        leaf.usages.map((usage) =>
          usage === "client" ? x509.ExtendedKeyUsage.clientAuth : x509.ExtendedKeyUsage.serverAuth,
        ),
      ),
      ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  return { certificate: certificate.toString("pem") + "\n", key: await exportKey(keys.privateKey) };
}

async function newKeys() {
  return (await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as webcrypto.CryptoKeyPair; // ECDSA makes a pair
}

async function exportKey(key: CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key));
  return createPrivateKey({ key: der, format: "der", type: "pkcs8" })
    .export({ type: "pkcs8", format: "pem" })
    .toString();
}

async function importKey(pem: string): Promise<CryptoKey> {
  const der = createPrivateKey(pem).export({ type: "pkcs8", format: "der" });
  return webcrypto.subtle.importKey("pkcs8", new Uint8Array(der), algorithm, false, ["sign"]);
}

/** The public half of a PEM private key, PEM. */
export function publicKeyOf(privateKeyPem: string): string {
  return createPublicKey(privateKeyPem).export({ type: "spki", format: "pem" }).toString();
}

/** 127 random bits, never zero, positive. */
function newSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x01;
  return bytes.toString("hex");
}
