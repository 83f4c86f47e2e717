/** What went through the interfaces of a network namespace: `/proc/PID/net/dev` of one of its processes. */
import { readFile } from "node:fs/promises";

export interface InterfaceCounters {
  readonly name: string;
  readonly rxBytes: number;
  readonly rxErrors: number;
  readonly txBytes: number;
  readonly txErrors: number;
}

/** Undefined: no such process. */
export async function readInterfaces(pid: number | "self"): Promise<InterfaceCounters[] | undefined> {
  try {
    return parseInterfaces(await readFile(`/proc/${pid}/net/dev`, "utf8"));
  } catch (error) {
    if (["ENOENT", "ESRCH", "EINVAL"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}

/** Without those that lead nowhere: upstream leaves them out too. */
export function parseInterfaces(text: string): InterfaceCounters[] {
  return text
    .split("\n")
    .slice(2)
    .flatMap((line) => {
      const [name = "", counters = ""] = line.split(":");
      if (counters === "" || isInternal(name.trim())) return [];
      const [rxBytes = 0, , rxErrors = 0, , , , , , txBytes = 0, , txErrors = 0] = counters
        .trim()
        .split(/\s+/)
        .map(Number);
      return [{ name: name.trim(), rxBytes, rxErrors, txBytes, txErrors }];
    });
}

const isInternal = (name: string): boolean => name === "lo" || name.startsWith("veth") || name.startsWith("docker");
