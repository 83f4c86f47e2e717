/** The last words of a container: what it wrote to its termination file or, if it failed and asked for that, the end of its log. */
import { open } from "node:fs/promises";
import type { ContainerStatus, Decoded } from "../cri/types.d.ts";
import { annotation } from "../core/labels.ts";

/** Upstream's limits: a status must stay small. */
const fileBytesMax = 4096;
const logBytesMax = 2048;
const logLinesMax = 80;
/** Enough of the log's end for 80 lines of usual length. */
const logTailBytes = 64 * 1024;

export async function terminationMessage(status: Decoded<ContainerStatus>): Promise<string> {
  const path = status.annotations[annotation.terminationMessagePath];
  const fallBack =
    status.annotations[annotation.terminationMessagePolicy] === "FallbackToLogsOnError" &&
    status.exitCode !== 0 &&
    status.reason !== "ContainerCannotRun";
  const file = status.mounts.find(({ containerPath }) => path && containerPath === path)?.hostPath;
  if (file) {
    const { text, error } = await readTail(file, fileBytesMax);
    if (error && error !== "ENOENT") return `Error on reading termination log ${file}: ${error}`;
    if (text) return text;
  }
  if (!fallBack) return "";
  const { text, error } = await readTail(status.logPath, logTailBytes);
  if (error) return `Error on reading termination message from logs: ${error}`;
  return lastLogLines(text);
}

async function readTail(path: string, bytesMax: number): Promise<{ text: string; error?: string }> {
  try {
    await using file = await open(path, "r");
    const { size } = await file.stat();
    const start = Math.max(0, size - bytesMax);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - start), 0, size - start, start);
    return { text: buffer.toString("utf8", 0, bytesRead) };
  } catch (error) {
    return { text: "", error: (error as NodeJS.ErrnoException).code ?? String(error) }; // file system errors have a code
  }
}

/** The text of the last lines of a log as the runtime writes it: `time stream F text`, `P` for a line that goes on. */
export function lastLogLines(log: string): string {
  const lines: string[] = [];
  let open = "";
  for (const entry of log.split("\n")) {
    const match = /^\S+ (?:stdout|stderr) ([FP])(?::\S*)? (.*)$/s.exec(entry);
    if (!match) continue;
    open += match[2];
    if (match[1] === "P") continue;
    lines.push(`${open}\n`);
    open = "";
  }
  if (open) lines.push(open);
  const bytes = Buffer.from(lines.slice(-logLinesMax).join(""));
  return bytes.subarray(Math.max(0, bytes.length - logBytesMax)).toString();
}
