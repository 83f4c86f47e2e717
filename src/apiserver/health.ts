/** /healthz, /livez, /readyz: named checks, each with a path of its own; `verbose` lists them. Also /version and the list of paths. */
import { statusError } from "#machinery";
import type { Answer } from "./answer.ts";
import { isKnownAccept } from "./http/media-type.ts";
import { type PathHandler, type PathRequest, textAnswer } from "./paths.ts";
import { notAcceptable } from "./present/shape.ts";

/** Undefined: all is well; else what is wrong. */
export type HealthCheck = () => string | undefined | Promise<string | undefined>;

export interface HealthOptions {
  /** By name, in the order of the list. */
  readonly checks: ReadonlyMap<string, HealthCheck>;
  /** Only /readyz has these: not ready while shutting down. */
  readonly readiness: ReadonlyMap<string, HealthCheck>;
}

export function healthHandlers({ checks, readiness }: HealthOptions): ReadonlyMap<string, PathHandler> {
  const ready = new Map([...checks, ...readiness]);
  return new Map([
    ["healthz", (request) => answerHealth("healthz", checks, request)],
    ["livez", (request) => answerHealth("livez", checks, request)],
    ["readyz", (request) => answerHealth("readyz", ready, request)],
  ]);
}

async function answerHealth(
  name: string,
  checks: ReadonlyMap<string, HealthCheck>,
  { parts, query }: PathRequest,
): Promise<Answer | undefined> {
  const only = parts[1];
  if (only !== undefined) {
    const check = parts.length === 2 ? checks.get(only) : undefined;
    if (!check) return undefined;
    const wrong = await check();
    return wrong === undefined ? textAnswer(200, "ok") : textAnswer(500, `internal server error: ${wrong}\n`);
  }
  const excluded = new Set(query.all("exclude"));
  const lines: string[] = [];
  let failed = false;
  for (const [each, check] of checks) {
    if (excluded.has(each)) {
      lines.push(`[+]${each} excluded: ok\n`);
      continue;
    }
    const wrong = await check();
    failed ||= wrong !== undefined;
    lines.push(wrong === undefined ? `[+]${each} ok\n` : `[-]${each} failed: reason withheld\n`);
  }
  if (failed) return textAnswer(500, `${lines.join("")}${name} check failed\n`);
  return textAnswer(200, query.has("verbose") ? `${lines.join("")}${name} check passed\n` : "ok");
}

export interface VersionInfo {
  readonly major: string;
  readonly minor: string;
  readonly gitVersion: string;
}

export function versionHandler(version: VersionInfo): PathHandler {
  const value = {
    ...version,
    gitCommit: "",
    gitTreeState: "clean",
    buildDate: "1970-01-01T00:00:00Z",
    // Clients only print these.
    goVersion: `node ${process.version}`,
    compiler: "v8",
    platform: `${process.platform}/${process.arch === "x64" ? "amd64" : process.arch}`,
  };
  return ({ method, parts, accept }) => {
    if (parts.length > 1) return undefined;
    if (method !== "GET") throw statusError.methodNotAllowed();
    if (!isKnownAccept(accept)) throw notAcceptable(["application/json"]);
    return { type: "value", status: 200, value };
  };
}

/** `/` lists what there is. */
export function rootHandler(paths: () => readonly string[]): PathHandler {
  return ({ user: _ }) => ({ type: "value", status: 200, value: { paths: [...paths()].sort() } });
}
