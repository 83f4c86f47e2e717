/** One subcommand: its flags and what it does. `main.ts` parses, prints errors and exits; a command only throws. */
import type { FlagSpecs, FlagValues } from "#base";

export interface Invocation<S extends FlagSpecs> {
  readonly flags: FlagValues<S>;
  readonly positionals: readonly string[];
  /** As typed, for a command that starts itself again in the background. */
  readonly args: readonly string[];
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
}

export interface Command<S extends FlagSpecs = FlagSpecs> {
  readonly summary: string;
  /** After the name: `load TAR…`. */
  readonly usage?: string;
  readonly flags: S;
  /** The exit code. */
  run(invocation: Invocation<S>): Promise<number>;
}

export function defineCommand<S extends FlagSpecs>(command: Command<S>): Command<S> {
  return command;
}

/** A failure that the person can act on: printed without a stack. */
export class CommandError extends Error {
  override name = "CommandError";
}
