/** One UDP socket of a portal: each client has a socket of its own to its endpoint, until neither has said anything for a while. */
import { createSocket, type Socket } from "node:dgram";
import type { Clock } from "#base";
import { endpointName, type Family, type ProxyEndpoint } from "../core/endpoints.ts";

/** As in 1.0. */
export const udpIdleMs = 10_000;
/** Datagrams of one client that wait for its socket: more are lost, as on a network. */
const waitingMax = 64;

export interface UdpPortalOptions {
  readonly host: string;
  readonly port: number;
  readonly family: Family;
  readonly admits: (client: string) => boolean;
  readonly next: (client: string) => ProxyEndpoint | undefined;
  readonly take: () => boolean;
  readonly give: () => void;
  readonly clock: Clock;
}

export interface UdpPortal {
  /** Flows to others end: their endpoints are gone. */
  keepOnly(endpoints: readonly ProxyEndpoint[]): void;
  close(): void;
}

interface Flow {
  readonly socket: Socket;
  readonly endpoint: string;
  usedMs: number;
  /** Until it is connected. */
  waiting: Buffer[] | undefined;
}

/** Rejects when the port can't be had. */
export async function listenUdp(options: UdpPortalOptions): Promise<UdpPortal> {
  const { host, port, family, admits, next, take, give, clock } = options;
  const type = family === "IPv6" ? "udp6" : "udp4";
  const portal = createSocket({ type, reusePort: true, ipv6Only: family === "IPv6" });
  const flows = new Map<string, Flow>();
  let sweep: (() => void) | undefined;

  const end = (key: string, flow: Flow) => {
    if (flows.get(key) !== flow) return;
    flows.delete(key);
    flow.socket.close();
    give();
  };
  const look = () => {
    const now = clock.now();
    for (const [key, flow] of flows) if (now - flow.usedMs >= udpIdleMs) end(key, flow);
    sweep = flows.size > 0 ? clock.after(udpIdleMs / 4, look) : undefined;
  };

  function open(key: string, client: { address: string; port: number }): Flow | undefined {
    const endpoint = next(client.address);
    if (!endpoint || !take()) return undefined;
    const socket = createSocket(type);
    const flow: Flow = { socket, endpoint: endpointName(endpoint), usedMs: clock.now(), waiting: [] };
    flows.set(key, flow);
    socket.on("message", (answer) => {
      flow.usedMs = clock.now();
      portal.send(answer, client.port, client.address);
    });
    // Refused: the next datagram finds another endpoint, or nobody.
    socket.on("error", () => end(key, flow));
    socket.once("connect", () => {
      for (const datagram of flow.waiting ?? []) socket.send(datagram, ignoreError);
      flow.waiting = undefined;
    });
    socket.connect(endpoint.port, endpoint.address);
    sweep ??= clock.after(udpIdleMs / 4, look);
    return flow;
  }

  portal.on("message", (datagram, client) => {
    if (!admits(client.address)) return;
    const key = `${client.address} ${client.port}`;
    const flow = flows.get(key) ?? open(key, client);
    if (!flow) return;
    flow.usedMs = clock.now();
    if (!flow.waiting) flow.socket.send(datagram, ignoreError);
    else if (flow.waiting.length < waitingMax) flow.waiting.push(datagram);
  });
  await new Promise<void>((resolve, reject) => {
    portal.once("error", reject).bind({ address: host, port, exclusive: true }, () => {
      portal.off("error", reject).on("error", () => undefined); // an answer that didn't reach its client is lost, as on a network
      resolve();
    });
  });
  return {
    keepOnly(endpoints) {
      const kept = new Set(endpoints.map(endpointName));
      for (const [key, flow] of flows) if (!kept.has(flow.endpoint)) end(key, flow);
    },
    close() {
      sweep?.();
      for (const [key, flow] of flows) end(key, flow);
      portal.close();
    },
  };
}

/** What can't be delivered is lost, as on a network; a flow's socket tells of refusals by its event. */
const ignoreError = () => undefined;
