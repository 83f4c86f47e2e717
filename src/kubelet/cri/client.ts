/**
 * The Container Runtime Interface, v1: a typed client over gRPC on a unix socket.
 *
 * Methods are those of the published api.proto with names in lowerCamelCase. Messages are encoded from the facts by our
 * own codec, so that gRPC needs no loader and no generated code. Zeros may be left out of a request; in an answer
 * scalars, lists and maps are always there. Enums are names; one that is newer than the facts is its number.
 * 64-bit integers are numbers: nanosecond timestamps are therefore exact to about 256 ns.
 */
import type { ServiceError } from "@grpc/grpc-js";
import { assert } from "#base";
import { type CompactTypes, createProtobufCodec, type TypeSchema, typeFacts } from "#machinery";
import type { CriCallOptions, ImageService, RuntimeService } from "./types.d.ts";

/** gRPC's codes by name; `UNIMPLEMENTED` is how an older runtime answers a newer method. */
export type CriErrorCode =
  | "CANCELLED"
  | "UNKNOWN"
  | "INVALID_ARGUMENT"
  | "DEADLINE_EXCEEDED"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "PERMISSION_DENIED"
  | "RESOURCE_EXHAUSTED"
  | "FAILED_PRECONDITION"
  | "ABORTED"
  | "OUT_OF_RANGE"
  | "UNIMPLEMENTED"
  | "INTERNAL"
  | "UNAVAILABLE"
  | "DATA_LOSS"
  | "UNAUTHENTICATED";

export class CriError extends Error {
  override name = "CriError";
  readonly code: CriErrorCode;
  /** What the runtime said, without the method. */
  readonly details: string;

  constructor(method: string, code: CriErrorCode, details: string) {
    super(`${method}: ${code}: ${details}`);
    this.code = code;
    this.details = details;
  }
}

export interface CriClient {
  readonly runtime: RuntimeService;
  readonly image: ImageService;
  /** Resolves when the runtime takes connections. Rejects with CriError `UNAVAILABLE`. */
  whenReady(timeoutMs: number): Promise<void>;
  close(): void;
}

export interface CriClientOptions {
  /** Of a call that brings none of its own; pulls and streams have no limit. */
  readonly timeoutMs?: number;
}

/** Upstream's `runtimeRequestTimeout`. */
const timeoutMsDefault = 120_000;
/** As upstream's kubelet: a list of all containers of a node fits, a runaway answer doesn't eat the memory. */
const messageBytesMax = 16 * 1024 * 1024;
/** A private containerd is up in well under a second: look often at first. */
const reconnectMsMin = 50;
const reconnectMsMax = 3_000;
const unlimitedMethods = new Set(["PullImage"]);

interface CompactCriFacts {
  /** By service and method: request, answer, and `stream` where the answer is many. */
  readonly services: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
  readonly enums: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly types: CompactTypes;
}

/** `endpoint`: path of a socket, or `unix:///path`. Connects with the first call, and again when the runtime restarts. */
export async function connectCri(
  endpoint: string,
  { timeoutMs: timeoutMsUsual = timeoutMsDefault }: CriClientOptions = {},
): Promise<CriClient> {
  const [grpc, facts] = await Promise.all([import("@grpc/grpc-js"), loadFacts()]);
  const codec = createProtobufCodec("proto3");
  const client = new grpc.Client(
    endpoint.startsWith("unix:") ? endpoint : `unix://${endpoint}`,
    grpc.credentials.createInsecure(),
    {
      "grpc.max_receive_message_length": messageBytesMax,
      "grpc.max_send_message_length": messageBytesMax,
      "grpc.initial_reconnect_backoff_ms": reconnectMsMin,
      "grpc.max_reconnect_backoff_ms": reconnectMsMax,
      "grpc.enable_http_proxy": 0,
    },
  );
  const types = typeFacts(facts.types, { enums: facts.enums });
  const typeOf = (service: string, name: string | undefined): TypeSchema => {
    const type = types.type(`${service.slice(0, service.lastIndexOf("."))}.${name}`);
    assert(type !== undefined, `the CRI facts have no type ${name}`);
    return type;
  };
  const failure = (method: string, error: unknown): unknown => {
    if (!isServiceError(error)) return error;
    return new CriError(method, (grpc.status[error.code] ?? "UNKNOWN") as CriErrorCode, error.details); // cast: the enum's names
  };
  const deadline = (timeoutMs: number) => (Number.isFinite(timeoutMs) ? { deadline: Date.now() + timeoutMs } : {});

  const bind = (service: string, method: string): unknown => {
    const [request, response, stream] = facts.services[service]?.[method] ?? [];
    const requestType = typeOf(service, request);
    const responseType = typeOf(service, response);
    const path = `/${service}/${method}`;
    const serialize = (message: object): Buffer => codec.encode(requestType, message);
    const deserialize = (bytes: Buffer): object => codec.decode(responseType, bytes);

    if (stream !== undefined)
      return async function* (message: object, { signal, timeoutMs = Number.POSITIVE_INFINITY }: CriCallOptions = {}) {
        signal?.throwIfAborted();
        const call = client.makeServerStreamRequest(path, serialize, deserialize, message, deadline(timeoutMs));
        const cancel = (): void => call.cancel();
        signal?.addEventListener("abort", cancel, { once: true });
        try {
          for await (const answer of call) yield answer;
        } catch (error) {
          signal?.throwIfAborted();
          throw failure(method, error);
        } finally {
          signal?.removeEventListener("abort", cancel);
          call.cancel();
        }
      };

    const timeoutMsOfMethod = unlimitedMethods.has(method) ? Number.POSITIVE_INFINITY : timeoutMsUsual;
    return (message: object, { signal, timeoutMs = timeoutMsOfMethod }: CriCallOptions = {}) =>
      new Promise((resolve, reject) => {
        signal?.throwIfAborted();
        const cancel = (): void => call.cancel();
        const call = client.makeUnaryRequest(
          path,
          serialize,
          deserialize,
          message,
          deadline(timeoutMs),
          (error, answer) => {
            signal?.removeEventListener("abort", cancel);
            if (!error) resolve(answer);
            else reject(signal?.aborted ? signal.reason : failure(method, error));
          },
        );
        signal?.addEventListener("abort", cancel, { once: true });
      });
  };
  const bindAll = (service: string): unknown =>
    Object.fromEntries(
      Object.keys(facts.services[service] ?? {}).map((method) => [
        method.charAt(0).toLowerCase() + method.slice(1),
        bind(service, method),
      ]),
    );
  return {
    runtime: bindAll("runtime.v1.RuntimeService") as RuntimeService, // cast: the types are made from the same facts
    image: bindAll("runtime.v1.ImageService") as ImageService, // cast: likewise
    whenReady: (timeoutMs) =>
      new Promise((resolve, reject) => {
        client.waitForReady(Date.now() + timeoutMs, (error) => {
          if (error) reject(new CriError("connect", "UNAVAILABLE", `${endpoint} isn't ready: ${error.message}`));
          else resolve();
        });
      }),
    close: () => client.close(),
  };
}

async function loadFacts(): Promise<CompactCriFacts> {
  const { default: facts } = await import("./facts.json", { with: { type: "json" } });
  return facts as unknown as CompactCriFacts; // cast: lists in JSON have no fixed length for TypeScript
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && typeof error.code === "number" && "details" in error;
}
