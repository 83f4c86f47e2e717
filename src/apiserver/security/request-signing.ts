/** Signs certificate requests with an authority's key: what upstream's signer makes of one, in the order in which Go writes it. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { type CertificateRequest, derTag, writeDer } from "#api";
import {
  canSign,
  issue,
  type KeyPair,
  subjectOf,
  writeExtension,
  writeIssuerKey,
  writeNames,
  writeOid,
} from "./certificates.ts";

export interface RequestSigner {
  /** When the authority's own certificate ends, ms. */
  readonly validUntil: number;
  /** PEM. Throws for usages that nobody knows. */
  sign(request: CertificateRequest, terms: SigningTerms): string;
}

export interface SigningTerms {
  /** As a CertificateSigningRequest names them. */
  readonly usages: readonly string[];
  /** Milliseconds. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Usages of keys, by the number of their bit. */
const keyUsages: Readonly<Record<string, number>> = {
  signing: 0,
  "digital signature": 0,
  "content commitment": 1,
  "key encipherment": 2,
  "data encipherment": 3,
  "key agreement": 4,
  "cert sign": 5,
  "crl sign": 6,
  "encipher only": 7,
  "decipher only": 8,
};

/** Purposes, in the order in which certificates list them. */
const purposes: Readonly<Record<string, string>> = {
  any: "2.5.29.37.0",
  "server auth": "1.3.6.1.5.5.7.3.1",
  "client auth": "1.3.6.1.5.5.7.3.2",
  "code signing": "1.3.6.1.5.5.7.3.3",
  "email protection": "1.3.6.1.5.5.7.3.4",
  "s/mime": "1.3.6.1.5.5.7.3.4",
  "ipsec end system": "1.3.6.1.5.5.7.3.5",
  "ipsec tunnel": "1.3.6.1.5.5.7.3.6",
  "ipsec user": "1.3.6.1.5.5.7.3.7",
  timestamping: "1.3.6.1.5.5.7.3.8",
  "ocsp signing": "1.3.6.1.5.5.7.3.9",
  "microsoft sgc": "1.3.6.1.4.1.311.10.3.3",
  "netscape sgc": "2.16.840.1.113730.4.1",
};

/** Throws when the two don't fit each other, or the key can't sign. */
export function createRequestSigner({ certificate, key }: KeyPair): RequestSigner {
  const authority = new X509Certificate(certificate);
  const signer = createPrivateKey(key);
  if (!authority.checkPrivateKey(signer)) throw new Error("the key doesn't belong to the certificate");
  if (!canSign(signer)) throw new Error(`keys of type ${signer.asymmetricKeyType} can't sign certificates here`);
  return {
    validUntil: Date.parse(authority.validTo),
    sign(request, { usages, notBefore, notAfter }) {
      const { subject, publicKey } = request;
      const isNameless = subject.equals(writeDer(derTag.sequence));
      const extensions = [
        ...writeUsages(usages),
        writeExtension("basicConstraints", writeDer(derTag.sequence), true),
        ...writeIssuerKey(authority),
        ...writeNames(request, isNameless),
      ];
      return issue({ publicKey, subject, issuer: subjectOf(authority), signer, extensions, notBefore, notAfter });
    },
  };
}

function writeUsages(usages: readonly string[]): Buffer[] {
  const unknown = usages.filter((usage) => !Object.hasOwn(keyUsages, usage) && !Object.hasOwn(purposes, usage));
  if (unknown.length > 0)
    throw new Error(`unrecognized usage values: [${unknown.map((usage) => JSON.stringify(usage)).join(" ")}]`);
  const bits = usages.flatMap((usage) => keyUsages[usage] ?? []);
  const wanted = new Set(usages.flatMap((usage) => purposes[usage] ?? []));
  const inOrder = [...new Set(Object.values(purposes))].filter((purpose) => wanted.has(purpose));
  return [
    ...(bits.length > 0 ? [writeExtension("keyUsage", writeBits(bits), true)] : []),
    ...(inOrder.length > 0
      ? [writeExtension("extendedKeyUsage", writeDer(derTag.sequence, ...inOrder.map(writeOid)))]
      : []),
  ];
}

/** Bits are counted from the left, trailing zeros are left out; the first byte says how many at the right aren't meant. */
function writeBits(bits: readonly number[]): Buffer {
  const last = Math.max(...bits);
  const bytes = Buffer.alloc(1 + (last >> 3) + 1);
  bytes[0] = 7 - (last & 7);
  for (const bit of bits) bytes[1 + (bit >> 3)] = (bytes[1 + (bit >> 3)] ?? 0) | (0x80 >> (bit & 7));
  return writeDer(derTag.bitString, bytes);
}
