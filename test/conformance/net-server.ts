/**
 * What runs in the pods of network tests: says who it is over HTTP, HTTPS and UDP, and asks others when told to, so that a test can look
 * at the network from each pod. Run by the machine's own Node.js, which the pods mount.
 *   PORTS=8080,… UDP_PORT=8081 TLS_PORT, TLS_CERT, TLS_KEY
 */
import { createSocket } from "node:dgram";
import { lookup, Resolver } from "node:dns/promises";
import { createServer, get, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { hostname } from "node:os";
import { text } from "node:stream/consumers";

const { PORTS = "", UDP_PORT, TLS_PORT, TLS_CERT, TLS_KEY } = process.env;
/** More than a connection takes on a busy machine, less than a dropped packet is sent again for. */
const dialMsMax = 3_000;

type Query = URLSearchParams;
const get1 = (query: Query, name: string) => query.get(name) ?? "";

const dialHttp = (query: Query) =>
  new Promise<string>((resolve, reject) => {
    const [host, port, path] = [get1(query, "host"), get1(query, "port"), get1(query, "request")];
    const localAddress = query.get("from") ?? undefined;
    const options = {
      host,
      port,
      path: `/${path}`,
      agent: false,
      timeout: dialMsMax,
      ...(localAddress && { localAddress }),
    };
    const sent = get(options, (answer) => text(answer).then(resolve, reject));
    sent.on("error", reject).on("timeout", () => sent.destroy(new Error("no answer")));
  });

const dialUdp = (query: Query) =>
  new Promise<string>((resolve, reject) => {
    const socket = createSocket("udp4");
    const end = (then: () => void) => {
      clearTimeout(timer);
      socket.close();
      then();
    };
    const timer = setTimeout(() => end(() => reject(new Error("no answer"))), dialMsMax);
    // Connected, so that a refusal is heard.
    socket.on("error", (error) => end(() => reject(error)));
    socket.on("message", (message) => end(() => resolve(message.toString())));
    socket.connect(Number(get1(query, "port")), get1(query, "host"), () =>
      socket.send(get1(query, "request"), (error) => error && end(() => reject(error))),
    );
  });

/** `tries` times, one after the other, each with a connection of its own. */
async function dial(query: Query): Promise<object> {
  const responses: string[] = [];
  const errors: string[] = [];
  for (let left = Number(query.get("tries") ?? 1); left > 0; left--) {
    try {
      responses.push(await (query.get("protocol") === "udp" ? dialUdp(query) : dialHttp(query)));
    } catch (error) {
      errors.push((error as NodeJS.ErrnoException).code ?? (error as Error).message);
    }
  }
  return { responses, errors };
}

const fetchRecords: Record<string, (name: string) => Promise<unknown>> = {
  // What programs use: the C library, with search paths.
  host: async (name) => (await lookup(name, { all: true })).map(({ address }) => address),
  A: (name) => new Resolver().resolve4(name),
  CNAME: (name) => new Resolver().resolveCname(name),
  PTR: (name) => new Resolver().reverse(name),
  SRV: (name) => new Resolver().resolveSrv(name),
  TXT: (name) => new Resolver().resolveTxt(name),
};

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, searchParams: query } = new URL(request.url ?? "", "http://pod");
  const { remoteAddress = "", localPort } = request.socket;
  const say = (what: unknown) => void response.end(typeof what === "string" ? what : JSON.stringify(what));
  if (pathname === "/hostname") return say(hostname());
  if (pathname === "/clientip") return say(remoteAddress.replace(/^::ffff:/, ""));
  if (pathname === "/dial") return say(await dial(query));
  if (pathname === "/resolve") {
    const records = fetchRecords[query.get("type") ?? "host"];
    return say(await records?.(get1(query, "name")).catch((error: NodeJS.ErrnoException) => ({ error: error.code })));
  }
  return say({ method: request.method, path: request.url, port: localPort, body: await text(request) });
}

const listen = (server: ReturnType<typeof createServer>, port: number) =>
  server.listen(port, () => console.log(`serving ${(server.address() as AddressInfo).port}`));
for (const port of PORTS.split(",").filter(Boolean)) listen(createServer(answer), Number(port));
if (TLS_PORT) listen(createTlsServer({ cert: TLS_CERT, key: TLS_KEY }, answer), Number(TLS_PORT));
if (UDP_PORT) {
  const socket = createSocket("udp4");
  socket.on("message", (message, { port, address }) =>
    socket.send(message.toString() === "clientip" ? address : hostname(), port, address),
  );
  socket.bind(Number(UDP_PORT));
}
