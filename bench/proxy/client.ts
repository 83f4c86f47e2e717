/** A thread that connects to services all the time, one connection after another, and the server behind all of them. */
import { connect, createServer, type Server } from "node:net";
import { once } from "node:events";
import { parentPort } from "node:worker_threads";

export interface Order {
  /** None: stop. */
  readonly addresses: readonly string[];
  /** How many connections; missing: until the next order. */
  readonly count?: number;
}

/** Times in milliseconds of the machine's steady clock, the same in all threads. */
export interface Connection {
  readonly startedMs: number;
  readonly tookMs: number;
  /** Whose address was connected to in the end; "" when refused. */
  readonly endpoint: string;
}

const nowMs = () => Number(process.hrtime.bigint()) / 1e6;

/** It tells each client at which address it was found. */
function serve(port: number): Server {
  return createServer((socket) => socket.on("error", () => undefined).end(socket.localAddress ?? "")).listen(
    port,
    "0.0.0.0",
  );
}

function connectOnce(address: string): Promise<Connection> {
  return new Promise((resolve) => {
    const startedMs = nowMs();
    let tookMs = 0;
    let endpoint = "";
    const socket = connect(80, address)
      .on("connect", () => {
        tookMs = nowMs() - startedMs;
      })
      .on("data", (text) => {
        endpoint = text.toString();
      })
      .on("error", () => undefined) // refused: no endpoint
      .on("close", () => resolve({ startedMs, tookMs, endpoint }));
    socket.setNoDelay();
  });
}

if (parentPort) {
  const port = parentPort;
  let order: Order | undefined;
  port.on("message", (next: Order) => {
    order = next;
    if (next.addresses.length > 0) void work(next);
  });
  const work = async (mine: Order) => {
    const seen: Connection[] = [];
    const { addresses, count = Number.POSITIVE_INFINITY } = mine;
    for (let at = 0; at < count && order === mine; at++)
      seen.push(await connectOnce(addresses[at % addresses.length] ?? ""));
    port.postMessage(seen);
  };
  await once(serve(8080), "listening");
  port.postMessage("ready");
}
