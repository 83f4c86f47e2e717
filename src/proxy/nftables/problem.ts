/** Whether this machine can have the proxy's rules, asked of nft and the kernel without changing anything. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { type ApplyScript, createNft } from "#base";
import { baseScript } from "../core/base.ts";
import type { Family } from "../core/endpoints.ts";

/** Older ones read all tables of the machine at each start, and may fail on what others wrote. */
const versionMin = [1, 0, 1] as const;
const wanted = `nft ${versionMin.join(".")} or later (Debian package nftables)`;

/** Tries a transaction without effect. */
export const createNftCheck = (program = "nft"): ApplyScript => createNft(program, ["-c"]);

/** Why rules can't be made here, in words for people; undefined when they can. */
export async function nftProblem(program = "nft"): Promise<string | undefined> {
  const version = await versionOf(program).catch((error: NodeJS.ErrnoException) => error);
  if (version instanceof Error)
    return `cannot run ${program} (${version.code === "ENOENT" ? "not installed" : version.message}): want ${wanted}`;
  const found = /v(\d+)\.(\d+)\.(\d+)/.exec(version)?.slice(1).map(Number);
  if (!found) return `${program} --version printed ${JSON.stringify(version.slice(0, 80))}: want ${wanted}`;
  const differs = versionMin.findIndex((part, at) => found[at] !== part);
  if (differs >= 0 && (found[differs] ?? 0) < (versionMin[differs] ?? 0))
    return `found nft ${found.join(".")}: want ${wanted}`;
  return familyProblem("IPv4", createNftCheck(program));
}

/** Of one family: a kernel may have no IPv6 at all. */
export async function familyProblem(family: Family, check: ApplyScript): Promise<string | undefined> {
  const base = { family, masqueradeMark: "0x00004000", masqueradeAll: false, serviceCidrs: [], masqueradePodCidrs: [] };
  try {
    await check(baseScript(base));
    return undefined;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    const why = /Operation not permitted/.test(text) ? "not permitted (want CAP_NET_ADMIN)" : text;
    return `the kernel refuses the proxy's rules for ${family}: ${why}`;
  }
}

/** Connection tracking, and with it translation, of SCTP is an option of the kernel. */
export const sctpProblem = (): string | undefined =>
  existsSync("/proc/sys/net/netfilter/nf_conntrack_count") &&
  !existsSync("/proc/sys/net/netfilter/nf_conntrack_sctp_timeout_established")
    ? "the kernel doesn't track SCTP (CONFIG_NF_CT_PROTO_SCTP)"
    : undefined;

function versionOf(program: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, ["--version"], { stdio: ["ignore", "pipe", "ignore"] });
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
    child.on("error", reject);
    child.on("close", () => resolve(text));
  });
}
