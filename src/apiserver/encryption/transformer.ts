/**
 * Between an object's bytes and what lies in the store. A provider writes behind a prefix of its own, so that values tell by whom they can be
 * read; the first provider of a list writes, all of them read. What another than the first has written is stale: any update writes it anew.
 */
export interface Opened {
  readonly value: Buffer;
  readonly stale: boolean;
}

export interface Transformer {
  /** What has to be fetched before this can be read (a key from a KMS); failures show when it is read. */
  prepare?(data: Buffer): Promise<void> | undefined;
  /** `key`: of the store, which a value can't be moved away from. Throws an Error whose message says why not. */
  fromStorage(data: Buffer, key: string): Opened;
  toStorage(data: Buffer, key: string): Buffer;
}

export interface PrefixTransformer {
  readonly prefix: Buffer;
  readonly transformer: Transformer;
}

const encryptedPrefix = Buffer.from("k8s:enc:");
export const isEncrypted = (data: Buffer): boolean => startsWith(data, encryptedPrefix);

export const encryptedDataMessage = "identity transformer tried to read encrypted data";

/** No encryption; refuses what is encrypted, so that it is never taken for an object. */
export const identity: Transformer = {
  fromStorage(data) {
    if (isEncrypted(data)) throw new Error(encryptedDataMessage);
    return { value: data, stale: false };
  },
  toStorage: (data) => data,
};

/** `otherwise`: the message when no prefix fits. */
export function prefixTransformers(list: readonly [PrefixTransformer, ...PrefixTransformer[]], otherwise: string) {
  const transformers: Transformer = {
    prepare(data) {
      const waits = list.flatMap(({ prefix, transformer }) =>
        startsWith(data, prefix) ? (transformer.prepare?.(data.subarray(prefix.length)) ?? []) : [],
      );
      return waits.length > 0 ? Promise.all(waits).then(() => undefined) : undefined;
    },
    fromStorage(data, key) {
      const errors: string[] = [];
      for (const [i, { prefix, transformer }] of list.entries()) {
        if (!startsWith(data, prefix)) continue;
        try {
          const { value, stale } = transformer.fromStorage(data.subarray(prefix.length), key);
          return { value, stale: stale || i > 0 };
        } catch (error) {
          // Without a prefix it is the identity, which only says that it isn't meant. Others with this prefix may have the key.
          if (prefix.length > 0) errors.push((error as Error).message);
        }
      }
      throw new Error(errors.length > 0 ? aggregate(errors) : otherwise);
    },
    toStorage(data, key) {
      const [{ prefix, transformer }] = list;
      return prefix.length === 0
        ? transformer.toStorage(data, key)
        : Buffer.concat([prefix, transformer.toStorage(data, key)]);
    },
  };
  return transformers;
}

function aggregate(errors: readonly string[]): string {
  const different = [...new Set(errors)];
  return different.length === 1 ? (different[0] ?? "") : `[${different.join(", ")}]`;
}

const startsWith = (data: Buffer, prefix: Buffer): boolean =>
  data.length >= prefix.length && data.compare(prefix, 0, prefix.length, 0, prefix.length) === 0;
