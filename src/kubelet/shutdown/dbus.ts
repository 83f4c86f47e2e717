/** A connection to the system's message bus: calls and signals. */
import { connect, type Socket } from "node:net";
import { type DbusMessage, decodeMessage, encodeMessage } from "./dbus-wire.ts";

export interface DbusCall {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature?: string;
  readonly body?: readonly unknown[];
}

export interface Dbus {
  call(call: DbusCall): Promise<readonly unknown[]>;
  /** Subscribes to what the rule selects; all signals come to every listener. */
  addMatch(rule: string): Promise<void>;
  onMessage(listener: (message: DbusMessage) => void): void;
  /** As it is: for who serves. */
  send(message: Omit<Parameters<typeof encodeMessage>[0], "serial">): number;
  /** Resolves when the connection is gone. */
  readonly closed: Promise<void>;
  close(): void;
}

const bus = { destination: "org.freedesktop.DBus", path: "/org/freedesktop/DBus", interface: "org.freedesktop.DBus" };

/** Of the system's bus. */
export const systemBusAddress = (): string =>
  process.env.DBUS_SYSTEM_BUS_ADDRESS ?? "unix:path=/run/dbus/system_bus_socket";

/** Rejects when nobody answers there. */
export async function connectDbus(address = systemBusAddress()): Promise<Dbus> {
  const socket = await open(address);
  await authenticate(socket);
  const waiting = new Map<number, PromiseWithResolvers<readonly unknown[]>>();
  const listeners = new Set<(message: DbusMessage) => void>();
  const closed = Promise.withResolvers<void>();
  let serial = 0;
  let rest: Buffer = Buffer.alloc(0);

  socket.on("data", (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    try {
      for (let next = decodeMessage(rest); next; next = decodeMessage(rest)) {
        rest = rest.subarray(next.length);
        take(next.message);
      }
    } catch (error) {
      socket.destroy(error instanceof Error ? error : undefined);
    }
  });
  socket.on("error", () => undefined); // "close" follows
  socket.on("close", () => {
    for (const { reject } of waiting.values()) reject(new Error("the message bus closed the connection"));
    closed.resolve();
  });

  function take(message: DbusMessage): void {
    const { type, replySerial = 0, errorName, body } = message;
    const asked = type === "reply" || type === "error" ? waiting.get(replySerial) : undefined;
    if (asked) {
      waiting.delete(replySerial);
      if (type === "reply") asked.resolve(body);
      else asked.reject(new Error(`${errorName}: ${body[0] ?? ""}`));
    }
    for (const listener of listeners) listener(message);
  }

  const send: Dbus["send"] = (message) => {
    socket.write(encodeMessage({ ...message, serial: ++serial }));
    return serial;
  };
  const dbus: Dbus = {
    send,
    call(call) {
      const answer = Promise.withResolvers<readonly unknown[]>();
      waiting.set(send({ type: "call", ...call }), answer);
      return answer.promise;
    },
    async addMatch(rule) {
      await dbus.call({ ...bus, member: "AddMatch", signature: "s", body: [rule] });
    },
    onMessage: (listener) => void listeners.add(listener),
    closed: closed.promise,
    close: () => socket.destroy(),
  };
  await dbus.call({ ...bus, member: "Hello" });
  return dbus;
}

function open(address: string): Promise<Socket> {
  // The first of several is enough for the system's bus.
  const [, kind, where = ""] = /^unix:(path|abstract)=([^,;]+)/.exec(address) ?? [];
  if (!kind) return Promise.reject(new Error(`a message bus at ${address} can't be reached`));
  return new Promise((resolve, reject) => {
    const socket = connect(kind === "path" ? where : `\0${where}`);
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(socket);
    });
  });
}

/** As the user that this process is: the kernel tells the bus. */
async function authenticate(socket: Socket): Promise<void> {
  const uid = Buffer.from(String(process.getuid?.() ?? 0)).toString("hex");
  socket.write(`\0AUTH EXTERNAL ${uid}\r\n`);
  const [answer] = await new Promise<[Buffer]>((resolve, reject) => {
    socket.once("data", (chunk: Buffer) => resolve([chunk]));
    socket.once("close", () => reject(new Error("the message bus refused the connection")));
    socket.once("error", reject);
  });
  if (!answer.toString().startsWith("OK ")) throw new Error(`the message bus answered ${answer.toString().trim()}`);
  socket.removeAllListeners();
  socket.write("BEGIN\r\n");
}
