/** XSalsa20 and Poly1305 as NaCl's secretbox puts them together: `nonce | tag | ciphertext`. Node.js has no XSalsa20: docs/decisions/0014-noble-ciphers.md. */
import { randomBytes } from "node:crypto";
import { xsalsa20poly1305 } from "@noble/ciphers/salsa.js";
import type { Transformer } from "./transformer.ts";

const nonceBytes = 24;
const tagBytes = 16;

export function secretbox(secret: Buffer): Transformer {
  return {
    fromStorage(data) {
      if (data.length < nonceBytes + tagBytes) throw new Error("the stored data was shorter than the required size");
      try {
        const opened = xsalsa20poly1305(secret, data.subarray(0, nonceBytes)).decrypt(data.subarray(nonceBytes));
        return { value: Buffer.from(opened.buffer, opened.byteOffset, opened.byteLength), stale: false };
      } catch {
        // Upstream's words for a value that isn't authentic.
        throw new Error("output array was not large enough for encryption");
      }
    },
    toStorage(data) {
      const nonce = randomBytes(nonceBytes);
      return Buffer.concat([nonce, xsalsa20poly1305(secret, nonce).encrypt(data)]);
    },
  };
}
