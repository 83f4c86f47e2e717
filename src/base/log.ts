/** Structured logging: one line an entry, fields after the message, so that both people and grep can read it. */
export type LogLevel = "debug" | "info" | "warn" | "error";
export type LogFields = Record<string, unknown>;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** The same logger with these fields on every entry. */
  with(fields: LogFields): Logger;
  /** Entries below its level are left out; shared by all that were made from one logger, and may be changed. */
  readonly threshold?: { level: LogLevel };
}

const rank: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };

export interface LoggerOptions {
  write: (line: string) => void;
  level?: LogLevel;
  /** Shared with others, instead of `level`. */
  threshold?: { level: LogLevel };
  now?: () => number;
  fields?: LogFields;
}

export function createLogger(options: LoggerOptions): Logger {
  const { write, now = Date.now, fields: bound = {} } = options;
  const threshold = options.threshold ?? { level: options.level ?? "info" };
  const log = (entryLevel: LogLevel, message: string, fields: LogFields = {}) => {
    if (rank[entryLevel] < rank[threshold.level]) return;
    const time = new Date(now()).toISOString().slice(11, 23);
    const rest = Object.entries({ ...bound, ...fields })
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => ` ${key}=${printField(value)}`)
      .join("");
    write(`${time} ${entryLevel.toUpperCase().padEnd(5)} ${message}${rest}\n`);
  };
  return {
    debug: (message, fields) => log("debug", message, fields),
    info: (message, fields) => log("info", message, fields),
    warn: (message, fields) => log("warn", message, fields),
    error: (message, fields) => log("error", message, fields),
    with: (fields) => createLogger({ ...options, threshold, fields: { ...bound, ...fields } }),
    threshold,
  };
}

function printField(value: unknown): string {
  if (value instanceof Error) return JSON.stringify(value.message);
  if (typeof value === "string") return /^[\w.:/@-]+$/.test(value) ? value : JSON.stringify(value);
  return JSON.stringify(value) ?? String(value);
}

/** A logger that says nothing, for tests and tools. */
export const silentLogger: Logger = createLogger({ write: () => undefined, level: "error" });
