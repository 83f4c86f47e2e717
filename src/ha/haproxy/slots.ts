/** Which server is in which slot, and what turns one state into the next over the runtime API. Pure. */
import { isIP } from "node:net";
import { type Slotted, slotName, slotsFor } from "./config.ts";
import type { Balanced, Server } from "./model.ts";

const keyOf = ({ address, port }: Server) => `${address} ${port}`;

/** Servers stay where they are; with too few slots, or for the first time, there are new ones. */
export function assignSlots(wanted: Balanced, before: Slotted | undefined): Slotted {
  const servers = new Map(wanted.servers.map((server) => [keyOf(server), server]));
  const fits = before !== undefined && servers.size <= before.slots.length;
  const slots = fits ? before.slots.map((server) => (server && servers.has(keyOf(server)) ? server : undefined)) : [];
  for (const server of slots) if (server) servers.delete(keyOf(server));
  if (!fits) slots.push(...new Array<undefined>(slotsFor(servers.size)).fill(undefined));
  for (const server of servers.values()) slots[slots.indexOf(undefined)] = server;
  return { ...wanted, slots };
}

/** What can't be changed without a reload. */
export const shapeOf = (all: readonly Slotted[]): string =>
  JSON.stringify(
    all.map(({ servers: _servers, slots, ...rest }) => [
      rest,
      slots.length,
      // Only addresses can be set: what has to be resolved is resolved at a start.
      slots.map((server) => server && isIP(server.address) === 0 && server),
    ]),
  ).replaceAll("false", "null");

export function runtimeCommands(before: readonly Slotted[], after: readonly Slotted[]): string[] {
  return after.flatMap((next, at) =>
    next.slots.flatMap((server, slot) => {
      const old = before[at]?.slots[slot];
      const name = `${next.name}/${slotName(slot)}`;
      if (old === server || (old && server && keyOf(old) === keyOf(server))) return [];
      if (!server) return [`set server ${name} state maint`];
      const check = next.check.kind === "http" ? [`set server ${name} check-port ${next.check.port}`] : [];
      return [
        `set server ${name} addr ${server.address} port ${server.port}`,
        ...check,
        `set server ${name} state ready`,
      ];
    }),
  );
}
