/** Whether a certificate and a key belong together, in the words of Go's tls.X509KeyPair, which secrets of TLS are warned in. */
import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import { type PemBlock, readPem } from "../certificates/pem.ts";

/** Why they don't, or undefined. */
export function whyNoKeyPair(certificates: string, keys: string): string | undefined {
  const [certBlocks, keyBlocks] = [readPem(certificates), readPem(keys)];
  const certificate = certBlocks.find(({ type }) => type === "CERTIFICATE");
  if (!certificate) return `tls: ${whyNoCertificate(certBlocks.map(({ type }) => type))}`;
  const key = keyBlocks.find(({ type }) => isKey(type));
  if (!key) return `tls: ${whyNoKey(keyBlocks.map(({ type }) => type))}`;
  const wanted = attempt(() => new X509Certificate(certificate.bytes).publicKey);
  if (!wanted) return "x509: malformed certificate";
  const own = attempt(() => createPrivateKey(toPem(key)));
  if (!own) return "tls: failed to parse private key";
  if (own.asymmetricKeyType !== wanted.asymmetricKeyType) return "tls: private key type does not match public key type";
  return createPublicKey(own).equals(wanted) ? undefined : "tls: private key does not match public key";
}

const isKey = (type: string): boolean => type === "PRIVATE KEY" || type.endsWith(" PRIVATE KEY");

const toPem = ({ type, bytes }: PemBlock): string =>
  `-----BEGIN ${type}-----\n${bytes.toString("base64")}\n-----END ${type}-----\n`;

function whyNoCertificate(types: readonly string[]): string {
  if (types.length === 0) return "failed to find any PEM data in certificate input";
  if (types.length === 1 && types[0]?.endsWith("PRIVATE KEY")) {
    return "failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched";
  }
  return `failed to find "CERTIFICATE" PEM block in certificate input after skipping PEM blocks of the following types: [${types.join(" ")}]`;
}

function whyNoKey(types: readonly string[]): string {
  if (types.length === 0) return "failed to find any PEM data in key input";
  if (types.length === 1 && types[0] === "CERTIFICATE") {
    return "found a certificate rather than a key in the PEM for the private key";
  }
  return `failed to find PEM block with type ending in "PRIVATE KEY" in key input after skipping PEM blocks of the following types: [${types.join(" ")}]`;
}

/** OpenSSL's own words don't matter: only that it can't read them. */
function attempt(read: () => KeyObject): KeyObject | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
