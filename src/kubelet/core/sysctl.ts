/** Kernel settings of a pod: a few are safe for everybody, others only if the node allows them. */
import { goQuote } from "#machinery";
import type { PodView } from "./types.ts";

/** Namespaced and harmless to neighbours, as of 1.36. */
const safe = new Set([
  "kernel.shm_rmid_forced",
  "net.ipv4.ip_local_port_range",
  "net.ipv4.tcp_syncookies",
  "net.ipv4.ping_group_range",
  "net.ipv4.ip_unprivileged_port_start",
  "net.ipv4.ip_local_reserved_ports",
  "net.ipv4.tcp_keepalive_time",
  "net.ipv4.tcp_fin_timeout",
  "net.ipv4.tcp_keepalive_intvl",
  "net.ipv4.tcp_keepalive_probes",
  "net.ipv4.tcp_rmem",
  "net.ipv4.tcp_wmem",
]);

/** `net/ipv4/x` and `net.ipv4.x` are the same; a name that starts with slashes may have dots in its parts. */
export function dotted(name: string): string {
  const separator = /[./]/.exec(name)?.[0];
  return separator === "/" ? name.replace(/[./]/g, (sign) => (sign === "/" ? "." : "/")) : name;
}

/** Why this pod may not have the first of its settings that it may not have. `allowed`: names or prefixes ending in `*`. */
export function forbiddenSysctl(pod: PodView, allowed: readonly string[]): string | undefined {
  const { hostNetwork, hostIPC, securityContext } = pod.spec ?? {};
  for (const { name } of securityContext?.sysctls ?? []) {
    const plain = dotted(name);
    const fits = (pattern: string) =>
      pattern.endsWith("*") ? plain.startsWith(dotted(pattern.slice(0, -1))) : plain === dotted(pattern);
    if (!safe.has(plain) && !allowed.some(fits)) return `${goQuote(plain)} not allowlisted`;
    // Settings of a namespace that the pod shares with the host would change the host.
    const shared =
      hostNetwork && plain.startsWith("net.")
        ? "Net"
        : hostIPC && /^(kernel\.(shm|msg|sem)|fs\.mqueue\.)/.test(plain) && "IPC";
    if (shared) return `${goQuote(plain)} not allowed with host ${shared} enabled`;
  }
  return undefined;
}

export const sysctlsOf = (pod: PodView): Record<string, string> =>
  Object.fromEntries((pod.spec?.securityContext?.sysctls ?? []).map(({ name, value }) => [dotted(name), value]));
