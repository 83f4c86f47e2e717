/**
 * Makes addresses that no interface has this machine's own, so that sockets can listen there: a route of type `local` for the whole range of
 * Services, and one for each address outside of it. Pods' and the node's packets then end at our sockets, or are refused by the kernel.
 * Rejected: an address on an interface for each Service, thousands of which slow everything down that lists addresses.
 */
import { readFile, writeFile } from "node:fs/promises";
import { isIPv6 } from "node:net";
import { parseCidr } from "#api";
import { machineAddresses, rangesOf } from "./gate.ts";

/** Runs lines as `ip -batch -` does; answers what failed. */
export type ChangeRoutes = (
  lines: readonly string[],
) => Promise<readonly { readonly line: string; readonly message: string }[]>;

/** A number of our own for who made a route, by which ours are found again: `ip route show table local proto 87`. */
const protocol = 87;

export interface LocalRoutes {
  /** These ranges and addresses are wanted, and no others. Answers what could not be done. */
  want(ranges: readonly string[], addresses: Iterable<string>): Promise<readonly string[]>;
}

const lineFor = (verb: "replace" | "del", range: string) =>
  `${isIPv6(range.split("/")[0] ?? "") ? "-6 " : ""}route ${verb} local ${range} dev lo table local proto ${protocol}`;

export function createLocalRoutes(change: ChangeRoutes): LocalRoutes {
  let made = new Set<string>();
  return {
    async want(given, addresses) {
      const ranges = given.filter((cidr) => parseCidr(cidr));
      const covered = rangesOf(ranges);
      const own = machineAddresses();
      const wanted = new Set(ranges);
      for (const address of addresses)
        if (!covered.has(address) && !own.has(address)) wanted.add(`${address}/${isIPv6(address) ? 128 : 32}`);
      const added = [...wanted].filter((range) => !made.has(range));
      const gone = [...made].filter((range) => !wanted.has(range));
      if (added.length + gone.length === 0) return [];
      if (added.some((range) => range.includes(":"))) await allowIpv6Binding();
      const failures = await change([
        ...added.map((range) => lineFor("replace", range)),
        ...gone.map((range) => lineFor("del", range)),
      ]);
      const failed = new Set(failures.map(({ line }) => line));
      // What is gone already is gone; what couldn't be made is tried again.
      made = new Set([...wanted].filter((range) => !failed.has(lineFor("replace", range))));
      return failures
        .filter(({ line }) => line.includes(" replace "))
        .map(({ line, message }) => `${line}: ${message}`);
    },
  };
}

/** For IPv6 a route isn't enough to listen at an address that no interface has. */
const bindingFile = "/proc/sys/net/ipv6/ip_nonlocal_bind";

async function allowIpv6Binding(): Promise<void> {
  if ((await readFile(bindingFile, "utf8")).trim() !== "1") await writeFile(bindingFile, "1");
}

/** All that any proxy of ours made. */
export const removeLocalRoutes = async (change: ChangeRoutes): Promise<void> => {
  await change([`route flush table local proto ${protocol}`, `-6 route flush table local proto ${protocol}`]);
};
