/**
 * gRPC with plugins of the node, in both directions: calls to them, and for tests and drivers of ours what answers. Messages are encoded
 * from facts, as those of the runtime are (cri/client.ts); a call names its service and method, so that new plugins need facts only.
 */
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { basename, dirname } from "node:path";
import type { Client, Server, ServiceError } from "@grpc/grpc-js";
import { assert } from "#base";
import { type CompactTypes, createProtobufCodec, type TypeSchema, typeFacts } from "#machinery";

interface PluginFacts {
  readonly services: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
  readonly enums: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly types: CompactTypes;
}

interface Method {
  readonly path: string;
  readonly encodeRequest: (message: object) => Buffer;
  readonly decodeRequest: (bytes: Buffer) => object;
  readonly encodeAnswer: (message: object) => Buffer;
  readonly decodeAnswer: (bytes: Buffer) => object;
}

export class PluginError extends Error {
  override name = "PluginError";
  /** Of gRPC, as upstream writes it: `Unavailable`. */
  readonly code: string;

  constructor(code: string, details: string, options?: ErrorOptions) {
    super(`rpc error: code = ${code} desc = ${details}`, options);
    this.code = code;
  }
}

export interface PluginConnection {
  call<T>(service: string, method: string, message: object, timeoutMs: number, signal?: AbortSignal): Promise<T>;
  /** Ends with the stream or the signal; throws PluginError. */
  stream<T>(service: string, method: string, signal: AbortSignal): AsyncIterable<T>;
  /** Calls back whenever the plugin becomes reachable or stops being it. */
  onState(listener: (isConnected: boolean) => void): void;
  close(): void;
}

async function loadProtocol() {
  const [grpc, { default: json }] = await Promise.all([
    import("@grpc/grpc-js"),
    import("./facts.json", { with: { type: "json" } }),
  ]);
  const facts = json as unknown as PluginFacts; // lists in JSON have no fixed length for TypeScript
  const codec = createProtobufCodec("proto3");
  const types = typeFacts(facts.types, { enums: facts.enums });
  const methodOf = (service: string, method: string): Method => {
    const names = facts.services[service]?.[method];
    const [request, answer] = [0, 1].map((at): TypeSchema => {
      const type = types.type(`${service.slice(0, service.lastIndexOf("."))}.${names?.[at]}`);
      assert(type !== undefined, `the plugin facts have no ${service}.${method}`);
      return type;
    }) as [TypeSchema, TypeSchema]; // two were asked for
    return {
      path: `/${service}/${method}`,
      encodeRequest: (message) => codec.encode(request, message),
      decodeRequest: (bytes) => codec.decode(request, bytes),
      encodeAnswer: (message) => codec.encode(answer, message),
      decodeAnswer: (bytes) => codec.decode(answer, bytes),
    };
  };
  return { grpc, facts, codec, types, methodOf };
}

/** In upstream's words: `rpc error: code = Unavailable desc = …`. */
function failure(error: ServiceError, codes: Record<number, string>): PluginError {
  const name = codes[error.code] ?? "UNKNOWN";
  const code = name.toLowerCase().replaceAll(/(?:^|_)(.)/g, (_, letter: string) => letter.toUpperCase());
  if (code === "Cancelled") return new PluginError("Canceled", "context canceled", { cause: error });
  const details = code === "DeadlineExceeded" ? "context deadline exceeded" : error.details;
  return new PluginError(code, details, { cause: error });
}

/** What the kernel takes as the address of a socket, in bytes. */
const pathBytesMax = 107;

/** A short path to a socket, by its open folder, where its own is too long to connect to: data folders may be deep. */
async function reach(socket: string): Promise<{ path: string; forget(): void }> {
  if (Buffer.byteLength(socket) <= pathBytesMax) return { path: socket, forget: () => undefined };
  const folder = await open(dirname(socket), constants.O_RDONLY | constants.O_DIRECTORY);
  const forget = () => void folder.close();
  return { path: `/proc/${process.pid}/fd/${folder.fd}/${basename(socket)}`, forget };
}

export async function connectPlugin(socket: string): Promise<PluginConnection> {
  const { grpc, methodOf } = await loadProtocol();
  const at = await reach(socket);
  const client: Client = new grpc.Client(`unix://${at.path}`, grpc.credentials.createInsecure(), {
    "grpc.enable_http_proxy": 0,
    "grpc.initial_reconnect_backoff_ms": 200,
    "grpc.max_reconnect_backoff_ms": 3_000,
    // A plugin that came back is reached at once, whatever others found there.
    "grpc.use_local_subchannel_pool": 1,
  });
  let closed = false;
  const codes = grpc.status as unknown as Record<number, string>; // the enum's names by number
  return {
    call: <T>(service: string, name: string, message: object, timeoutMs: number, signal?: AbortSignal) =>
      new Promise<T>((resolve, reject) => {
        const { path, encodeRequest, decodeAnswer } = methodOf(service, name);
        const options = { deadline: Date.now() + timeoutMs };
        const call = client.makeUnaryRequest(path, encodeRequest, decodeAnswer, message, options, (error, answer) => {
          signal?.removeEventListener("abort", cancel);
          if (error) reject(failure(error, codes));
          else resolve(answer as T); // the facts say so
        });
        const cancel = () => call.cancel();
        signal?.addEventListener("abort", cancel, { once: true });
        if (signal?.aborted) cancel();
      }),
    async *stream<T>(service: string, name: string, signal: AbortSignal) {
      const { path, encodeRequest, decodeAnswer } = methodOf(service, name);
      const call = client.makeServerStreamRequest(path, encodeRequest, decodeAnswer, {});
      const cancel = () => call.cancel();
      signal.addEventListener("abort", cancel, { once: true });
      try {
        for await (const answer of call) yield answer as T; // the facts say so
      } catch (error) {
        if (!signal.aborted) throw failure(error as ServiceError, codes); // streams fail with those
      } finally {
        signal.removeEventListener("abort", cancel);
        call.cancel();
      }
    },
    onState(listener) {
      const channel = client.getChannel();
      const { READY, SHUTDOWN } = grpc.connectivityState;
      let isReady = false;
      const follow = () => {
        // Asking connects it again when it is idle.
        const state = channel.getConnectivityState(true);
        if ((state === READY) !== isReady) {
          isReady = state === READY;
          listener(isReady);
        }
        if (closed || state === SHUTDOWN) return;
        channel.watchConnectivityState(state, Number.POSITIVE_INFINITY, () => {
          if (!closed) follow();
        });
      };
      follow();
    },
    close() {
      if (closed) return;
      closed = true;
      client.close();
      at.forget();
    },
  };
}

/** One message by itself, as files keep it; named with its package. */
export async function messageCodec<T>(name: string): Promise<{ encode(message: T): Buffer; decode(bytes: Buffer): T }> {
  const { codec, types } = await loadProtocol();
  const type = types.type(name);
  assert(type !== undefined, `the plugin facts have no ${name}`);
  return {
    encode: (message) => codec.encode(type, message as object), // messages are objects
    decode: (bytes) => codec.decode(type, bytes) as T, // the facts say so
  };
}

/** By service and method: what answers; a list is a stream of answers. */
export type PluginServices = Readonly<
  Record<string, Readonly<Record<string, (request: never) => Promise<object> | AsyncIterable<object>>>>
>;

/** Serves on a socket; answers how to stop. */
export async function servePlugin(socket: string, services: PluginServices): Promise<() => Promise<void>> {
  const { grpc, facts, methodOf } = await loadProtocol();
  const server: Server = new grpc.Server();
  for (const [service, methods] of Object.entries(services)) {
    const definition: Record<string, object> = {};
    const handlers: Record<string, unknown> = {};
    for (const [name, answer] of Object.entries(methods)) {
      const { path, encodeRequest, decodeRequest, encodeAnswer, decodeAnswer } = methodOf(service, name);
      const isStream = facts.services[service]?.[name]?.[2] === "stream";
      definition[name] = {
        path,
        requestStream: false,
        responseStream: isStream,
        requestSerialize: encodeRequest,
        requestDeserialize: decodeRequest,
        responseSerialize: encodeAnswer,
        responseDeserialize: decodeAnswer,
      };
      handlers[name] = isStream
        ? async (call: { request: never; write(message: object): void; end(): void }) => {
            for await (const each of answer(call.request) as AsyncIterable<object>) call.write(each);
            call.end();
          }
        : (call: { request: never }, done: (error: unknown, message?: object) => void) =>
            void (answer(call.request) as Promise<object>).then(
              (message) => done(null, message),
              (error: unknown) => {
                const { code, message: details } = error as { code?: number; message?: string }; // whatever it threw
                done({ code: typeof code === "number" ? code : grpc.status.UNKNOWN, details: String(details) });
              },
            );
    }
    // The library's types of definitions are made for generated code.
    server.addService(definition as never, handlers as never);
  }
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix://${socket}`, grpc.ServerCredentials.createInsecure(), (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
  return async () => server.forceShutdown();
}
