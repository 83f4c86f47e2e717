/**
 * containerd's own event stream, for releases before 1.7, whose CRI tells of no events. Three small messages are decoded by hand
 * instead of carrying containerd's API: an envelope, and of any task event its container id (always field 1). The end of a command that was
 * executed in a container (its field 2 names the command) is no news of the container.
 */
import { CriError } from "../cri/client.ts";

export interface TaskEvent {
  /** `/tasks/exit`, `/tasks/oom`, `/tasks/start`, … */
  readonly topic: string;
  readonly containerId: string;
}

const path = "/containerd.services.events.v1.Events/Subscribe";
/** containerd keeps CRI's containers in this namespace of its own. */
const filters = ['namespace=="k8s.io",topic~="^/tasks/(exit|oom|start|delete)$"'];

/** Ends when the connection does; rejects with CriError `UNIMPLEMENTED` when the runtime isn't containerd. */
export async function* containerdEvents(
  endpoint: string,
  signal: AbortSignal,
): AsyncGenerator<TaskEvent | "connected"> {
  const grpc = await import("@grpc/grpc-js");
  const address = endpoint.startsWith("unix:") ? endpoint : `unix://${endpoint}`;
  const client = new grpc.Client(address, grpc.credentials.createInsecure(), { "grpc.enable_http_proxy": 0 });
  const call = client.makeServerStreamRequest(path, (bytes: Buffer) => bytes, readEnvelope, encodeFilters(filters));
  const stop = (): void => call.cancel();
  signal.addEventListener("abort", stop, { once: true });
  try {
    yield "connected";
    for await (const event of call) if (event) yield event as TaskEvent; // readEnvelope's answer
  } catch (error) {
    if (signal.aborted) return;
    const code = (error as { code?: number }).code ?? -1; // gRPC errors have a code
    throw new CriError(
      "Subscribe",
      code === grpc.status.UNIMPLEMENTED ? "UNIMPLEMENTED" : "UNAVAILABLE",
      String(error),
    );
  } finally {
    signal.removeEventListener("abort", stop);
    call.cancel();
    client.close();
  }
}

const encodeFilters = (list: readonly string[]): Buffer =>
  Buffer.concat(
    list.map((filter) => {
      const text = Buffer.from(filter);
      return Buffer.concat([Buffer.from([0x0a]), varint(text.length), text]);
    }),
  );

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return Buffer.from([...bytes, rest]);
    bytes.push((rest & 0x7f) | 0x80);
  }
}

/** Envelope: topic is field 3, event (an Any: value is field 2) is field 4. */
export function readEnvelope(bytes: Buffer): TaskEvent | undefined {
  const envelope = readFields(bytes);
  const topic = envelope.get(3)?.toString() ?? "";
  const event = envelope.get(4);
  const value = event && readFields(event).get(2);
  const fields = value && readFields(value);
  const containerId = fields?.get(1)?.toString();
  const processId = topic === "/tasks/exit" ? fields?.get(2)?.toString() : undefined;
  return containerId && (processId ?? containerId) === containerId ? { topic, containerId } : undefined;
}

/** The length-delimited fields of a message, by number; the last one wins. */
function readFields(bytes: Buffer): Map<number, Buffer> {
  const fields = new Map<number, Buffer>();
  let at = 0;
  const read = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const key = read();
    const wire = key & 7;
    if (wire === 0) read();
    else if (wire === 1) at += 8;
    else if (wire === 5) at += 4;
    else if (wire === 2) {
      const length = read();
      fields.set(key >>> 3, bytes.subarray(at, at + length));
      at += length;
    } else break;
  }
  return fields;
}
