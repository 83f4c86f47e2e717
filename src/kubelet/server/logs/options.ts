/** What a reader of a container's log asked for, from the query of `/containerLogs`. */

export interface LogOptions {
  readonly follow: boolean;
  readonly previous: boolean;
  readonly timestamps: boolean;
  /** Undefined: all. */
  readonly tailLines: number | undefined;
  readonly limitBytes: number | undefined;
  /** Lines before this moment are left out; milliseconds. */
  readonly sinceMs: number | undefined;
  readonly stream: "All" | "Stdout" | "Stderr";
}

/** As upstream's, which are JSON in a plain text. */
export class LogOptionsError extends Error {
  override name = "LogOptionsError";
  readonly code: 400 | 422;

  constructor(code: 400 | 422, message: string) {
    super(`{"message": "${message}"}`);
    this.code = code;
  }
}

/** Throws LogOptionsError. */
export function readLogOptions(query: URLSearchParams, now: number): LogOptions {
  const tail = query.get("tail");
  const tailLines = tail ? (tail === "all" ? undefined : integer(tail)) : numberOf(query, "tailLines");
  const limitBytes = numberOf(query, "limitBytes");
  const sinceSeconds = numberOf(query, "sinceSeconds");
  const sinceTime = timeOf(query, "sinceTime");
  const stream = query.get("stream") || "All";
  const invalid =
    (tailLines !== undefined && tailLines < 0) ||
    (limitBytes !== undefined && limitBytes < 1) ||
    (sinceSeconds !== undefined && (sinceSeconds < 1 || sinceTime !== undefined));
  if (invalid || !isStream(stream) || (stream !== "All" && tailLines !== undefined)) {
    throw new LogOptionsError(422, "Invalid request.");
  }
  return {
    follow: flag(query, "follow"),
    previous: flag(query, "previous"),
    timestamps: flag(query, "timestamps"),
    tailLines,
    limitBytes,
    sinceMs: sinceSeconds === undefined ? sinceTime : now - sinceSeconds * 1000,
    stream,
  };
}

const isStream = (text: string): text is LogOptions["stream"] =>
  text === "All" || text === "Stdout" || text === "Stderr";

/** Anything but an explicit no, as Go's conversion of queries. */
export const flag = (query: URLSearchParams, name: string): boolean => {
  const text = query.get(name);
  return text !== null && !/^(0|false)$/i.test(text);
};

function numberOf(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  return text ? integer(text) : undefined;
}

function integer(text: string): number {
  const value = Number(text);
  if (!/^[+-]?\d+$/.test(text) || !Number.isFinite(value)) throw new LogOptionsError(400, "Unable to decode query.");
  return value;
}

function timeOf(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (!text) return undefined;
  const at = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(at)) throw new LogOptionsError(400, "Unable to decode query.");
  return at;
}
