/** A KMS plugin: gRPC on a unix socket. Loaded when a configuration names one. */
import { randomUUID } from "node:crypto";
import { credentials, Client, Metadata } from "@grpc/grpc-js";
import { type EncryptResponse, kmsCodec, kmsMethods, type StatusResponse } from "./kms-messages.ts";

/** A key is a few bytes; keeps a mad plugin from filling memory. */
const messageBytesMax = 1024 * 1024;

export interface KmsClient {
  status(): Promise<StatusResponse>;
  encrypt(plaintext: Buffer): Promise<EncryptResponse>;
  decrypt(request: {
    readonly ciphertext: Buffer;
    readonly keyId: string;
    readonly annotations: Readonly<Record<string, Buffer>>;
  }): Promise<Buffer>;
  close(): void;
}

/** `endpoint`: `unix:///path`, or `unix:///@name` for an abstract one. */
export function connectKms(endpoint: string, timeoutMs: number): KmsClient {
  const path = decodeURIComponent(new URL(endpoint).pathname);
  const address = path.startsWith("/@") ? `unix-abstract:${path.slice(2)}` : `unix:${path}`;
  const client = new Client(address, credentials.createInsecure(), {
    "grpc.max_receive_message_length": messageBytesMax,
    "grpc.default_authority": "localhost",
    "grpc.enable_http_proxy": 0,
  });
  const call = (method: keyof typeof kmsMethods, request: object): Promise<Record<string, unknown>> => {
    const [requestType, responseType] = kmsMethods[method];
    const metadata = new Metadata({ waitForReady: true });
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        `/v2.KeyManagementService/${method}`,
        (message: object) => kmsCodec.encode(requestType, message),
        (bytes: Buffer) => kmsCodec.decode(responseType, bytes),
        request,
        metadata,
        { deadline: Date.now() + timeoutMs },
        (error, answer) => {
          if (error) reject(new Error(`rpc error: code = ${codes[error.code]} desc = ${error.details}`));
          else resolve(answer ?? {});
        },
      );
    });
  };
  return {
    // Each answer is of its method's type.
    status: async () => (await call("Status", {})) as unknown as StatusResponse,
    encrypt: async (plaintext) =>
      (await call("Encrypt", { plaintext, uid: randomUUID() })) as unknown as EncryptResponse,
    async decrypt(request) {
      const { plaintext } = await call("Decrypt", { ...request, uid: randomUUID() });
      return plaintext as Buffer; // of the answer's type
    },
    close: () => client.close(),
  };
}

/** As Go prints gRPC's codes. */
const codes = (
  "OK Canceled Unknown InvalidArgument DeadlineExceeded NotFound AlreadyExists PermissionDenied ResourceExhausted " +
  "FailedPrecondition Aborted OutOfRange Unimplemented Internal Unavailable DataLoss Unauthenticated"
).split(" ");
