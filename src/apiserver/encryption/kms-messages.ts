/** The messages of KMS v2 and of what it leaves in the store, as types for our own codec. Facts of k8s.io/kms and of upstream's kmsv2. */
import { createProtobufCodec, type FieldSchema, type TypeSchema, type ValueSchema } from "#machinery";

const text: ValueSchema = { kind: "string" };
const bytes: ValueSchema = { kind: "bytes" };
const annotations: ValueSchema = { kind: "map", values: bytes };

const message = (name: string, fields: Readonly<Record<string, readonly [number, ValueSchema]>>): TypeSchema => ({
  name: `v2.${name}`,
  fields: new Map(
    Object.entries(fields).map(([field, [number, value]]): [string, FieldSchema] => [
      field,
      { name: field, value, number, required: false, patchStrategy: [], atomic: false },
    ]),
  ),
  atomic: false,
  preserveUnknown: false,
});

/** By method: what is sent and what comes back. */
export const kmsMethods = {
  Status: [
    message("StatusRequest", {}),
    message("StatusResponse", { version: [1, text], healthz: [2, text], keyId: [3, text] }),
  ],
  Encrypt: [
    message("EncryptRequest", { plaintext: [1, bytes], uid: [2, text] }),
    message("EncryptResponse", { ciphertext: [1, bytes], keyId: [2, text], annotations: [3, annotations] }),
  ],
  Decrypt: [
    message("DecryptRequest", {
      ciphertext: [1, bytes],
      uid: [2, text],
      keyId: [3, text],
      annotations: [4, annotations],
    }),
    message("DecryptResponse", { plaintext: [1, bytes] }),
  ],
} as const;

export interface StatusResponse {
  readonly version: string;
  readonly healthz: string;
  readonly keyId: string;
}

export interface EncryptResponse {
  readonly ciphertext: Buffer;
  readonly keyId: string;
  readonly annotations: Readonly<Record<string, Buffer>>;
}

/** A value in the store. */
export interface EncryptedObject {
  readonly encryptedData: Buffer;
  readonly keyID: string;
  readonly encryptedDEKSource: Buffer;
  readonly annotations: Readonly<Record<string, Buffer>>;
  /** 0: an AES-GCM key. 1: a seed from which each value's key is derived. */
  readonly encryptedDEKSourceType: number;
}

const encryptedObject = message("EncryptedObject", {
  encryptedData: [1, bytes],
  keyID: [2, text],
  encryptedDEKSource: [3, bytes],
  annotations: [4, annotations],
  encryptedDEKSourceType: [5, { kind: "integer", bits: 32 }],
});

export const sourceType = { key: 0, seed: 1 } as const;

export const kmsCodec = createProtobufCodec("proto3");

export const encodeEncryptedObject = (object: EncryptedObject): Buffer => kmsCodec.encode(encryptedObject, object);

/** Throws ProtobufError. */
export const decodeEncryptedObject = (data: Uint8Array): EncryptedObject =>
  kmsCodec.decode(encryptedObject, data) as unknown as EncryptedObject; // of that type
