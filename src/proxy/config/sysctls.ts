/** The kernel's limits of connection tracking, which hold for the whole network namespace: as upstream sets them. */
import { readFile, writeFile } from "node:fs/promises";
import type { Logger } from "#base";
import type { ProxyConfiguration } from "./configuration.ts";

type Conntrack = ProxyConfiguration["conntrack"];

/** Above this, tracking takes too much memory. */
const connectionsMax = 1_048_576;

/** 0: the kernel's own number stays. */
export function conntrackMax({ maxPerCore = 0, min = 0 }: Conntrack, cores: number): number {
  if (maxPerCore <= 0) return 0;
  return Math.min(connectionsMax, Math.max(maxPerCore * cores, maxPerCore * cores > connectionsMax ? 0 : min));
}

/** By name under `net/netfilter`. */
export function conntrackSysctls(conntrack: Conntrack, cores: number): ReadonlyMap<string, number> {
  const seconds = (ms = 0) => Math.trunc(ms / 1000);
  const { tcpEstablishedTimeout = 0, tcpCloseWaitTimeout = 0, tcpBeLiberal, udpTimeout, udpStreamTimeout } = conntrack;
  const all: [name: string, value: number, isWanted: boolean][] = [
    ["nf_conntrack_max", conntrackMax(conntrack, cores), conntrackMax(conntrack, cores) > 0],
    ["nf_conntrack_tcp_timeout_established", seconds(tcpEstablishedTimeout), tcpEstablishedTimeout > 0],
    ["nf_conntrack_tcp_timeout_close_wait", seconds(tcpCloseWaitTimeout), tcpCloseWaitTimeout > 0],
    ["nf_conntrack_tcp_be_liberal", 1, tcpBeLiberal],
    ["nf_conntrack_udp_timeout", seconds(udpTimeout), udpTimeout > 0],
    ["nf_conntrack_udp_timeout_stream", seconds(udpStreamTimeout), udpStreamTimeout > 0],
  ];
  return new Map(all.filter(([, , isWanted]) => isWanted).map(([name, value]) => [name, value]));
}

const folder = "/proc/sys/net/netfilter";
const hashSizeFile = "/sys/module/nf_conntrack/parameters/hashsize";

/** What can't be set is warned about: in a namespace of its own a proxy may not raise the machine's limit, and works without. */
export async function setConntrackSysctls(conntrack: Conntrack, cores: number, log: Logger): Promise<void> {
  const sysctls = conntrackSysctls(conntrack, cores);
  for (const [name, value] of sysctls) await setNumber(`${folder}/${name}`, value, { log });
  const max = sysctls.get("nf_conntrack_max") ?? 0;
  if (max > 0) await setNumber(hashSizeFile, max / 4, { log, atLeast: true });
}

async function setNumber(
  file: string,
  value: number,
  { log, atLeast = false }: { log: Logger; atLeast?: boolean },
): Promise<void> {
  try {
    const has = Number(await readFile(file, "utf8"));
    if (has === value || (atLeast && has >= value)) return;
    await writeFile(file, String(Math.trunc(value)));
    log.info("set a limit of connection tracking", { file, value });
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code; // fs rejects with errno errors
    log.warn("a limit of connection tracking can't be set", { file, value, why });
  }
}
