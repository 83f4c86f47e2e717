/** PodLogOptions: read from a query as Go's conversion does, checked as upstream does. */
import {
  canonicalTimeText,
  type FieldError,
  FieldPath,
  fieldError,
  negativeMessage,
  statusError,
  TimeError,
} from "#machinery";
import type { Query } from "../query.ts";
import { invalid } from "../registry/errors.ts";

export interface PodLogOptions {
  readonly container: string;
  readonly follow: boolean;
  readonly previous: boolean;
  readonly timestamps: boolean;
  readonly sinceSeconds: number | undefined;
  /** RFC 3339, whole seconds. */
  readonly sinceTime: string | undefined;
  readonly tailLines: number | undefined;
  readonly limitBytes: number | undefined;
  readonly insecureSkipTLSVerifyBackend: boolean;
  readonly stream: string;
}

const streams = ["All", "Stderr", "Stdout"];
/** How upstream prints the path of the whole. */
const whole = { toString: () => "[]" };
const positive = "must be greater than 0";

/** Throws a StatusError. */
export function readPodLogOptions(query: Query, podName: string): PodLogOptions {
  const options: PodLogOptions = {
    container: query.get("container"),
    follow: query.boolean("follow"),
    previous: query.boolean("previous"),
    timestamps: query.boolean("timestamps"),
    sinceSeconds: integer(query, "sinceSeconds"),
    sinceTime: time(query, "sinceTime"),
    tailLines: integer(query, "tailLines"),
    limitBytes: integer(query, "limitBytes"),
    insecureSkipTLSVerifyBackend: query.boolean("insecureSkipTLSVerifyBackend"),
    stream: query.get("stream") || "All",
  };
  const errors = validate(options);
  if (errors.length > 0) throw invalid({ group: "", kind: "PodLogOptions" }, podName, errors);
  return options;
}

function validate({ tailLines, limitBytes, sinceSeconds, sinceTime, stream }: PodLogOptions): FieldError[] {
  const errors: FieldError[] = [];
  const path = (name: string) => FieldPath.root(name);
  if (tailLines !== undefined && tailLines < 0) {
    errors.push(fieldError.invalid(path("tailLines"), tailLines, negativeMessage));
  }
  if (limitBytes !== undefined && limitBytes < 1) {
    errors.push(fieldError.invalid(path("limitBytes"), limitBytes, positive));
  }
  if (sinceSeconds !== undefined && sinceTime !== undefined) {
    errors.push(fieldError.forbidden(whole, "at most one of `sinceTime` or `sinceSeconds` may be specified"));
  } else if (sinceSeconds !== undefined && sinceSeconds < 1) {
    errors.push(fieldError.invalid(path("sinceSeconds"), sinceSeconds, positive));
  }
  if (!streams.includes(stream)) errors.push(fieldError.notSupported(path("stream"), stream, streams));
  else if (stream !== "All" && tailLines !== undefined) {
    errors.push(fieldError.forbidden(whole, "`tailLines` and specific `stream` are mutually exclusive for now"));
  }
  return errors;
}

function integer(query: Query, name: string): number | undefined {
  if (!query.has(name)) return undefined;
  const text = query.get(name);
  const value = Number(text);
  if (/^[+-]?\d+$/.test(text) && value >= -(2 ** 63) && value < 2 ** 63) return value;
  const why = /^[+-]?\d+$/.test(text) ? "value out of range" : "invalid syntax";
  throw statusError.badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: ${why}`);
}

function time(query: Query, name: string): string | undefined {
  const text = query.get(name);
  if (text === "") return undefined;
  try {
    return canonicalTimeText(text) ?? undefined;
  } catch (error) {
    if (error instanceof TimeError) throw statusError.badRequest(error.message);
    throw error;
  }
}
