/** Certificate requests for tests, made anew each time: keys in files would look like secrets. */
import { webcrypto } from "node:crypto";

type Algorithm = { readonly name: string } & Readonly<Record<string, unknown>>;

const p256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

async function load() {
  await import("reflect-metadata"); // x509's container needs it first
  const x509 = await import("@peculiar/x509");
  x509.cryptoProvider.set(webcrypto as Crypto); // the same object under two declarations
  return x509;
}

async function create(name: string, { algorithm, withNames }: { algorithm: Algorithm; withNames: boolean }) {
  const x509 = await load();
  const made = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const keys = made as webcrypto.CryptoKeyPair; // what it makes for these uses
  const names = new x509.SubjectAlternativeNameExtension([
    { type: "dns", value: "n1.example.com" },
    { type: "ip", value: "10.0.0.1" },
    { type: "ip", value: "2001:db8::1" },
    { type: "email", value: "a@example.com" },
    { type: "url", value: "https://example.com/a" },
  ]);
  const usages = new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true);
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name,
    keys,
    signingAlgorithm: algorithm,
    extensions: withNames ? [usages, names] : [],
  });
  return `${request.toString("pem")}\n`;
}

/** Of a node, with names of each kind. */
export const newRequest = ({ algorithm = p256 }: { algorithm?: Algorithm } = {}): Promise<string> =>
  create("O=system:nodes, O=Ünits, CN=system:node:n1", { algorithm, withNames: true });

/** Of a user. */
export const newUserRequest = (): Promise<string> => create("CN=alice", { algorithm: p256, withNames: false });
