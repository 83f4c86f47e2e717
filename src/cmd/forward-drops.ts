/**
 * Chains of others that drop what they aren't told to forward: Docker's and many firewalls'. A packet passes when every table lets it, so
 * nothing that we write helps; whoever made them must be told.
 */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";

interface Listed {
  readonly nftables?: readonly {
    readonly chain?: { family: string; table: string; name: string; hook?: string; policy?: string };
  }[];
}

/** As `table ip filter, chain FORWARD`. `programOf`: where a program is, if it is installed. */
export async function forwardDrops(programOf: (name: string) => string | undefined): Promise<string[]> {
  const [nft, legacy] = await Promise.all([
    said(programOf("nft"), "-j", "list", "chains"),
    // Only where somebody used it: asking loads its modules.
    usesLegacy() ? said(programOf("iptables-legacy"), "-S", "FORWARD") : "",
  ]);
  return [...droppingChains(nft), ...(/^-P FORWARD DROP$/m.test(legacy) ? ["iptables-legacy's FORWARD"] : [])];
}

/** firewalld's has a policy of accepting and refuses in its last rule. */
export function droppingChains(json: string): string[] {
  const { nftables = [] } = (json.trim() === "" ? {} : JSON.parse(json)) as Listed; // nft's own documented output
  return nftables
    .flatMap(({ chain }) => chain ?? [])
    .filter(({ family, hook }) => hook === "forward" && ["ip", "ip6", "inet"].includes(family))
    .filter(({ table, policy }) => !table.startsWith("sampan-") && (policy === "drop" || table === "firewalld"))
    .map(({ family, table, name }) => `table ${family} ${table}, chain ${name}`);
}

function usesLegacy(): boolean {
  try {
    return readFileSync("/proc/net/ip_tables_names", "utf8").includes("filter");
  } catch {
    return false; // the kernel has none of it, or it isn't ours to look at
  }
}

/** "" when it isn't there or may not be asked. */
async function said(program: string | undefined, ...args: string[]): Promise<string> {
  if (!program) return "";
  const answer = promisify(execFile)(program, args, { timeout: 10_000, maxBuffer: 2 ** 26 });
  return answer.then(
    ({ stdout }) => stdout,
    () => "",
  );
}
