/**
 * Files that an administrator hands to the API server: read before anything runs, so that a mistake stops the start with the flag's and the
 * file's name; some are followed, and a mistake made while the server runs is logged and what was read before stays in force.
 */
import { type FSWatcher, watch } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import type { Clock, Logger } from "#base";
import { CommandError } from "./command.ts";

/** What a flag's file holds; undefined without a file. `parse` may throw anything: its message is shown. */
export async function readConfigFile<T>(
  flag: string,
  file: string | undefined,
  parse: (text: string) => T | Promise<T>,
): Promise<T | undefined> {
  if (!file) return undefined;
  try {
    return await parse(await readFile(file, "utf8"));
  } catch (error) {
    throw new CommandError(`--${flag} ${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

export interface FollowOptions {
  readonly file: string;
  /** The text in force. */
  readonly text: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Takes a text that differs from the one before. What it throws is logged, and the text isn't offered again. */
  readonly apply: (text: string) => void | Promise<void>;
}

/** Events of the folder may be lost (network file systems, a folder that is replaced): upstream looks each minute too. */
const lookAgainMs = 60_000;
/** Editors and Secret volumes replace a file in several steps. */
const settleMs = 50;

/** Until the signal aborts. */
export function followConfigFile({ file, text, clock, log, signal, apply }: FollowOptions): void {
  if (signal.aborted) return;
  let current = text;
  let reading = false;
  let again = false;
  let cancel: (() => void) | undefined;
  let watcher: FSWatcher | undefined;

  const look = async (): Promise<void> => {
    if (signal.aborted) return;
    again = reading;
    if (reading) return;
    reading = true;
    try {
      const next = await readFile(file, "utf8");
      if (next !== current) {
        current = next;
        await apply(next);
        log.info("a changed configuration file is in force", { file });
      }
    } catch (error) {
      log.error("a changed configuration file is not used; what was read before stays in force", { file, error });
    }
    reading = false;
    if (again) await look();
    else schedule(lookAgainMs);
  };
  const schedule = (delayMs: number) => {
    cancel?.();
    if (!signal.aborted) cancel = clock.after(delayMs, () => void look());
  };
  // The folder, because a file that is replaced takes its own watch along.
  try {
    watcher = watch(path.dirname(file), { persistent: false }, () => schedule(settleMs));
    watcher.on("error", (error) => log.debug("the folder of a configuration file can't be watched", { file, error }));
  } catch (error) {
    log.debug("the folder of a configuration file can't be watched", { file, error });
  }
  schedule(lookAgainMs);
  signal.addEventListener(
    "abort",
    () => {
      cancel?.();
      watcher?.close();
    },
    { once: true },
  );
}
