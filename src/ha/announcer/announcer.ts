/**
 * Makes addresses of load balancers reach this node. The controller says which node answers for which address (an annotation of the
 * Service); that node makes the address its own, so the kernel answers who asks for it, and tells the neighbours that it moved here. What
 * packets to it then meet are the rules of the service proxy, which every node has.
 *
 * Telling them needs no raw socket and no `arping`: a packet *from* the new address to a neighbour nobody knows makes the kernel ask all of
 * the segment for that neighbour, in the new address's name, and whoever knows the address remembers where the question came from (RFC 826).
 * Neighbours of IPv6 find out by themselves after some seconds.
 *
 * The addresses stay when this ends, as the rules do; the next one goes on from what it finds.
 */
import { createSocket } from "node:dgram";
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import type { Service } from "#api";
import { aborted, type Clock, type Logger } from "#base";
import type { InformerSet } from "#client";
import type { DeepReadonly } from "#machinery";

/** On Services, by the controller `service-lb-controller`. */
export const announcerAnnotation = "sampan.dev/announced-by";

/** Marks IPv4 addresses of ours, which are on the loopback interface, so that nobody takes them for addresses of the machine. */
const label = "lo:sampan";
/** Neighbours nobody has: link-local addresses, asked for one after another. */
const nobody = (at: number) => `169.254.86.${1 + (at % 254)}`;
/** The kernel asks three times in as many seconds. */
const askMs = 3_000;
const retryMs = 5_000;

export interface AnnouncerOptions {
  readonly informers: InformerSet;
  readonly nodeName: string;
  /** Tells which interface the neighbours are behind. */
  readonly nodeAddress: string;
  /** Runs lines of `ip -batch`; the messages of those that failed. */
  readonly change: (lines: readonly string[]) => Promise<readonly { line: string; message: string }[]>;
  /** `ip -json`. */
  readonly show: (...args: string[]) => Promise<readonly ShownLink[]>;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface ShownLink {
  readonly ifname?: string;
  readonly addr_info: readonly {
    readonly local: string;
    readonly prefixlen?: number;
  }[];
}

export function addressesFor({ spec, status, metadata }: DeepReadonly<Service>, nodeName: string): string[] {
  if (spec?.type !== "LoadBalancer" || metadata.annotations?.[announcerAnnotation] !== nodeName) return [];
  return (status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => (ip && isIP(ip) ? [ip] : []));
}

export async function runAnnouncer(options: AnnouncerOptions, signal: AbortSignal): Promise<void> {
  const { informers, nodeName, clock, log } = options;
  const services = informers.of("v1/services");
  const wanted = new Map<string, readonly string[]>();
  let here: Set<string> | undefined;
  let running: Promise<void> = Promise.resolve();
  let isMarked = false;

  async function bring(): Promise<void> {
    isMarked = false;
    here ??= new Set((await ours(options.show)).keys());
    const all = new Set([...wanted.values()].flat());
    const gone = [...here].filter((address) => !all.has(address));
    const fresh = [...all].filter((address) => !here?.has(address));
    if (gone.length + fresh.length === 0) return;
    const failures = await options.change([
      ...gone.map((address) => line("delete", address, interfaceOf(options.nodeAddress))),
      ...fresh.map((address) => line("replace", address, interfaceOf(options.nodeAddress))),
    ]);
    for (const { line: tried, message } of failures) log.error("an address of a load balancer", { tried, message });
    if (failures.length > 0) {
      here = undefined;
      clock.after(retryMs, mark);
    } else here = all;
    if (fresh.length > 0) log.info("answers for load balancers", { addresses: fresh.join() });
    await tellNeighbours(
      fresh.filter((address) => isIP(address) === 4),
      options,
    );
  }

  function mark(): void {
    if (isMarked || signal.aborted) return;
    isMarked = true;
    running = running
      .then(() => (signal.aborted ? undefined : bring()))
      .catch((error: unknown) => {
        here = undefined;
        log.error("addresses of load balancers", { error: String(error) });
        clock.after(retryMs, mark);
      });
  }

  const look = (service: DeepReadonly<Service>) => {
    const key = `${service.metadata.namespace}/${service.metadata.name}`;
    const addresses = addressesFor(service, nodeName);
    if (addresses.join() === (wanted.get(key) ?? []).join()) return;
    if (addresses.length > 0) wanted.set(key, addresses);
    else wanted.delete(key);
    if (isSynced) mark();
  };
  let isSynced = false;
  const stop = services.addHandler({
    added: look,
    updated: look,
    deleted: ({ metadata }) => void (wanted.delete(`${metadata.namespace}/${metadata.name}`) && mark()),
  });
  const ended = aborted(signal);
  await Promise.race([services.synced(), ended]);
  isSynced = true;
  // Of a run before this one there may be addresses that nobody wants any more.
  mark();
  await ended;
  stop();
  await running;
}

const line = (verb: string, address: string, device: string): string =>
  isIP(address) === 4
    ? `address ${verb} ${address}/32 dev lo${verb === "delete" ? "" : ` label ${label} scope host`}`
    : // On the interface itself, or the kernel doesn't answer; never the source of a packet of the node's own.
      `address ${verb} ${address}/128 dev ${device}${verb === "delete" ? "" : " nodad preferred_lft 0 valid_lft forever"}`;

const interfaceOf = (nodeAddress: string): string =>
  Object.entries(networkInterfaces()).find(([, all = []]) => all.some(({ address }) => address === nodeAddress))?.[0] ??
  "lo";

/** Each with its interface. Most nodes have none, and hear so without a process. */
async function ours(show: AnnouncerOptions["show"]): Promise<Map<string, string>> {
  const interfaces = networkInterfaces();
  const found = new Map((interfaces[label] ?? []).map(({ address }) => [address, "lo"]));
  const isOne = ({ cidr, address }: { cidr: string | null; address: string }) =>
    cidr?.endsWith("/128") && address !== "::1";
  if (!Object.values(interfaces).some((all) => all?.some(isOne))) return found;
  for (const { ifname, addr_info: all } of await show("-6", "address", "show", "deprecated"))
    for (const { local, prefixlen } of all ?? []) if (local && prefixlen === 128) found.set(local, ifname ?? "");
  return found;
}

/** What `down` does. */
export async function removeAddresses({ show, change }: Pick<AnnouncerOptions, "show" | "change">): Promise<void> {
  await change([...(await ours(show))].map(([address, device]) => line("delete", address, device)));
}

async function tellNeighbours(addresses: readonly string[], options: AnnouncerOptions): Promise<void> {
  const device = interfaceOf(options.nodeAddress);
  if (addresses.length === 0 || device === "lo") return;
  const routes = addresses.map((address, at) => `${nobody(at)}/32 dev ${device} src ${address}`);
  const failures = await options.change(routes.map((route) => `route replace ${route}`));
  for (const { message } of failures) options.log.warn("neighbours aren't told of a new address", { message });
  await new Promise<void>((done) => {
    const socket = createSocket("udp4");
    socket.on("error", () => undefined); // nobody is there, that's the point
    let left = addresses.length;
    addresses.forEach((_, at) => {
      socket.send("", 9, nobody(at), () => {
        if (--left > 0) return;
        socket.close();
        done();
      });
    });
  });
  options.clock.after(askMs, () => {
    options.change(routes.map((route) => `route delete ${route}`)).catch((error: unknown) => {
      options.log.warn("routes to nobody stay", { error: String(error) });
    });
  });
}
