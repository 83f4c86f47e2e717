/** What went through the interfaces of a network namespace: `/proc/PID/net/dev` of one of its processes. */
import { readKernelFile } from "./kernel-file.ts";

export interface InterfaceCounters {
  readonly name: string;
  readonly rxBytes: number;
  readonly rxErrors: number;
  readonly txBytes: number;
  readonly txErrors: number;
}

export interface InterfacePackets extends InterfaceCounters {
  readonly rxPackets: number;
  readonly rxDropped: number;
  readonly txPackets: number;
  readonly txDropped: number;
}

/** Undefined: no such process. */
export function readInterfaces(pid: number | "self"): InterfacePackets[] | undefined {
  const text = readKernelFile(`/proc/${pid}/net/dev`);
  return text === undefined ? undefined : parseInterfaces(text);
}

/** Without those that lead nowhere: upstream leaves them out too. */
export function parseInterfaces(text: string): InterfacePackets[] {
  return text
    .split("\n")
    .slice(2)
    .flatMap((line) => {
      const [name = "", counters = ""] = line.split(":");
      if (counters === "" || /^(lo|veth|docker|nerdctl)/i.test(name.trim())) return [];
      const [rxBytes = 0, rxPackets = 0, rxErrors = 0, rxDropped = 0, ...rest] = counters
        .trim()
        .split(/\s+/)
        .map(Number);
      const [, , , , txBytes = 0, txPackets = 0, txErrors = 0, txDropped = 0] = rest;
      return [{ name: name.trim(), rxBytes, rxErrors, txBytes, txErrors, rxPackets, rxDropped, txPackets, txDropped }];
    });
}
