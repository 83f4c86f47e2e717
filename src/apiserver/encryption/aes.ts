/** AES in the layouts that upstream stores: GCM with the key of the store as authenticated data, CBC, and GCM under a derived key for KMS. */
import { createCipheriv, createDecipheriv, createHmac, randomBytes } from "node:crypto";
import type { Transformer } from "./transformer.ts";

const nonceBytes = 12;
const tagBytes = 16;
const blockBytes = 16;
const tooShort = "the stored data was shorter than the required size";

/** `nonce | ciphertext | tag`. */
export function gcm(secret: Buffer): Transformer {
  const algorithm = `aes-${secret.length * 8}-gcm` as "aes-256-gcm"; // of three that are alike
  return {
    fromStorage(data, key) {
      if (data.length < nonceBytes) throw new Error(tooShort);
      const end = data.length - tagBytes;
      if (end < nonceBytes) throw new Error(notAuthentic);
      const decipher = createDecipheriv(algorithm, secret, data.subarray(0, nonceBytes));
      decipher.setAAD(Buffer.from(key));
      decipher.setAuthTag(data.subarray(end));
      const value = decipher.update(data.subarray(nonceBytes, end));
      try {
        decipher.final();
      } catch {
        throw new Error(notAuthentic);
      }
      return { value, stale: false };
    },
    toStorage(data, key) {
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv(algorithm, secret, nonce);
      cipher.setAAD(Buffer.from(key));
      const body = cipher.update(data);
      cipher.final();
      return Buffer.concat([nonce, body, cipher.getAuthTag()]);
    },
  };
}

/** As Go's crypto/cipher says it. */
const notAuthentic = "cipher: message authentication failed";

/** `iv | ciphertext`, padded by PKCS#7. Nothing says that a value belongs where it was found. */
export function cbc(secret: Buffer): Transformer {
  const algorithm = `aes-${secret.length * 8}-cbc`;
  return {
    fromStorage(data) {
      if (data.length < blockBytes) throw new Error(tooShort);
      if (data.length % blockBytes !== 0) throw new Error("the stored data is not a multiple of the block size");
      const decipher = createDecipheriv(algorithm, secret, data.subarray(0, blockBytes)).setAutoPadding(false);
      const padded = Buffer.concat([decipher.update(data.subarray(blockBytes)), decipher.final()]);
      const padding = padded.at(-1) ?? 0;
      if (padding === 0 || padding > padded.length) throw new Error("invalid PKCS7 data (empty or not padded)");
      const end = padded.length - padding;
      if (padded.subarray(end).some((byte) => byte !== padding)) throw new Error("invalid padding on input");
      return { value: padded.subarray(0, end), stale: false };
    },
    toStorage(data) {
      const iv = randomBytes(blockBytes);
      const cipher = createCipheriv(algorithm, secret, iv);
      return Buffer.concat([iv, cipher.update(data), cipher.final()]);
    },
  };
}

/** Also the length of the random part that a key is derived from. */
export const seedBytes = 32;

/** `info | nonce | ciphertext | tag`: each value under a key of its own, made from the seed and the random `info` (HKDF-SHA256, expansion only). */
export function extendedNonceGcm(seed: Buffer): Transformer {
  if (seed.length < seedBytes) throw new Error(`invalid seed length ${seed.length} used for key generation`);
  const derive = (info: Buffer) =>
    gcm(
      createHmac("sha256", seed)
        .update(info)
        .update(Buffer.from([1]))
        .digest(),
    );
  return {
    fromStorage(data, key) {
      if (data.length < seedBytes) throw new Error(tooShort);
      return derive(data.subarray(0, seedBytes)).fromStorage(data.subarray(seedBytes), key);
    },
    toStorage(data, key) {
      const info = randomBytes(seedBytes);
      return Buffer.concat([info, derive(info).toStorage(data, key)]);
    },
  };
}
