/** One TCP socket of a portal: takes connections, finds an endpoint that answers, and carries bytes both ways until both ends have said all. */
import { connect, createServer, type Server, type Socket } from "node:net";
import type { ProxyEndpoint } from "../core/endpoints.ts";

/** As in 1.0: with each try another endpoint, and more patience. */
export const dialTimeoutsMs = [1_000, 2_000, 4_000, 8_000] as const;
/** One for the client, one for the endpoint. */
export const socketsPerConnection = 2;

export interface TcpPortalOptions {
  readonly host: string;
  readonly port: number;
  /** Whether this client may; asked first. */
  readonly admits: (client: string, address: string) => boolean;
  /** `failed`: the one before didn't answer. */
  readonly next: (client: string, failed: boolean) => ProxyEndpoint | undefined;
  /** A place for one more; false: refuse. */
  readonly take: () => boolean;
  readonly give: () => void;
  /** None of the endpoints answered. */
  readonly unreachable: (why: string) => void;
  readonly timeoutsMs?: readonly number[];
}

/** Rejects when the port can't be had. */
export function listenTcp(options: TcpPortalOptions): Promise<Server> {
  const { host, port } = options;
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (client) => {
    const { remoteAddress = "", localAddress = "" } = client;
    if (!options.admits(remoteAddress, localAddress) || !options.take()) {
      client.resetAndDestroy();
      return;
    }
    // Whatever breaks before there is an endpoint is over at once.
    client.on("error", () => client.destroy());
    client.once("close", options.give);
    void carry(client, remoteAddress, options);
  });
  return new Promise((resolve, reject) => {
    // Portals with an address of their own and those of all addresses may have the same port.
    server.once("error", reject).listen({ host, port, reusePort: true, ipv6Only: host === "::", backlog: 1024 }, () => {
      server.off("error", reject).on("error", () => undefined); // a connection that couldn't be accepted: the client tries again
      resolve(server);
    });
  });
}

async function carry(client: Socket, address: string, options: TcpPortalOptions): Promise<void> {
  const { timeoutsMs = dialTimeoutsMs } = options;
  let why = "no endpoint";
  for (const [at, timeoutMs] of timeoutsMs.entries()) {
    const endpoint = options.next(address, at > 0);
    if (!endpoint || client.destroyed) break;
    try {
      join(client, await dial(endpoint, timeoutMs, client));
      return;
    } catch (error) {
      why = (error as Error).message; // dial rejects with errors
    }
  }
  if (!client.destroyed) options.unreachable(why);
  client.resetAndDestroy();
}

function dial({ address, port }: ProxyEndpoint, timeoutMs: number, client: Socket): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port, allowHalfOpen: true, noDelay: true });
    const timer = setTimeout(() => fail(new Error(`no answer from ${address}:${port} in ${timeoutMs} ms`)), timeoutMs);
    const gone = () => fail(new Error("the client has gone"));
    const done = () => {
      clearTimeout(timer);
      client.off("close", gone);
      socket.off("error", fail);
    };
    const fail = (error: Error) => {
      done();
      // Late errors of it are nobody's.
      socket.on("error", () => undefined).destroy();
      reject(error);
    };
    client.once("close", gone);
    socket.once("error", fail).once("connect", () => {
      done();
      resolve(socket);
    });
  });
}

/** Each side's end is passed on, so that a request may be over before its answer begins; a break breaks the other side too. */
function join(client: Socket, server: Socket): void {
  const follow = (from: Socket, to: Socket) => {
    from.pipe(to);
    from.on("error", () => to.resetAndDestroy());
    from.once("close", () => to.destroySoon());
  };
  follow(client, server);
  follow(server, client);
}
