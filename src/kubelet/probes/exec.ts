/** Runs a command in a container and waits for it: exec probes and hooks. */
import { printDuration } from "#base";
import { goQuote } from "#machinery";
import { type CriClient, CriError } from "../cri/client.ts";

export type ExecOutcome =
  | { readonly kind: "exited"; readonly exitCode: number; readonly output: string; readonly errors: string }
  | { readonly kind: "timeout"; readonly message: string }
  /** It could not be run at all. */
  | { readonly kind: "error"; readonly message: string };

/** What the runtime gets to clean up after a command that it gave up; as upstream, the limit of its calls. */
const cleanUpMs = 120_000;

/** `timeoutMs` 0: as long as it takes. `output` is standard output, then standard error. */
export async function execInContainer(
  cri: CriClient,
  {
    containerId,
    command,
    timeoutMs,
    signal,
  }: { containerId: string; command: readonly string[]; timeoutMs: number; signal?: AbortSignal },
): Promise<ExecOutcome> {
  try {
    const { stdout, stderr, exitCode } = await cri.runtime.execSync(
      { containerId, cmd: [...command], timeout: Math.ceil(timeoutMs / 1000) },
      {
        timeoutMs: timeoutMs === 0 ? Number.POSITIVE_INFINITY : timeoutMs + cleanUpMs,
        ...(signal ? { signal } : {}),
      },
    );
    return { kind: "exited", exitCode, output: Buffer.concat([stdout, stderr]).toString(), errors: stderr.toString() };
  } catch (error) {
    if (!(error instanceof CriError)) throw error;
    return error.code === "DEADLINE_EXCEEDED"
      ? {
          kind: "timeout",
          message: `command timed out: ${goQuote(command.join(" "))} timed out after ${printDuration(timeoutMs)}`,
        }
      : { kind: "error", message: `rpc error: code = ${codeName(error.code)} desc = ${error.details}` };
  }
}

/** `NOT_FOUND` as Go names it: `NotFound`. */
export const codeName = (code: string): string =>
  code
    .toLowerCase()
    .split("_")
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join("");
