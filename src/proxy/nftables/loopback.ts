/**
 * Host ports answer at 127.0.0.1 too. The kernel sends nothing with a loopback address out of another interface unless that one
 * allows it, even where the address will be masqueraded; what comes in for such addresses is dropped by our own rules then.
 */
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import type { Logger } from "#base";
import type { ServicePort } from "../core/service-port.ts";

export interface Loopback {
  update(ports: ReadonlyMap<string, readonly ServicePort[]>): void;
  settled(): Promise<unknown>;
}

const run = promisify(execFile);

export function createLoopback(log: Logger): Loopback {
  const known = new Set<string>();
  let allowing: Promise<unknown> = Promise.resolve();

  async function allow(address: string): Promise<void> {
    try {
      const { stdout } = await run("ip", ["-json", "route", "get", address]);
      const [route] = JSON.parse(stdout) as { dev?: string }[]; // iproute2's own format
      if (route?.dev && route.dev !== "lo") await writeFile(`/proc/sys/net/ipv4/conf/${route.dev}/route_localnet`, "1");
    } catch (error) {
      known.delete(address);
      log.warn("proxy: host ports don't answer at 127.0.0.1", { pod: address, error });
    }
  }

  return {
    update(all) {
      for (const ports of all.values())
        for (const { family, hostPort, externalAddresses, clusterAddress, localEndpoints } of ports) {
          if (clusterAddress !== undefined || family === "IPv6") continue;
          const address = localEndpoints[0]?.address;
          const isAtLoopback = hostPort || externalAddresses.some((each) => each.startsWith("127."));
          if (!isAtLoopback || !address || known.has(address)) continue;
          known.add(address);
          allowing = allowing.then(() => allow(address));
        }
    },
    settled: () => allowing,
  };
}
