/** The address that a node is known by when it wasn't given one: that of the interface with the default route. */
import { readFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";

/** Undefined when no interface has a default route. */
export async function defaultRouteAddress(): Promise<string | undefined> {
  const table = await readFile("/proc/self/net/route", "utf8");
  const routes = table
    .split("\n")
    .slice(1)
    .map((line) => line.split("\t"))
    // Destination and mask 0; the smallest metric wins.
    .filter(([, destination, , , , , , mask]) => destination === "00000000" && mask === "00000000")
    .sort((a, b) => Number(a[6]) - Number(b[6]));
  for (const [name = ""] of routes) {
    const address = networkInterfaces()[name]?.find(({ family, internal }) => family === "IPv4" && !internal);
    if (address) return address.address;
  }
  return undefined;
}
