/** /healthz, /livez, /readyz: named checks, each with a path of its own; `verbose` lists them. Also /version and the list of paths. */
import type { Clock, Logger } from "#base";
import { statusError } from "#machinery";
import type { Answer } from "./answer.ts";
import { parseAccept } from "./http/media-type.ts";
import { type PathHandler, type PathRequest, sniffedAnswer, textAnswer } from "./paths.ts";
import { notAcceptable } from "./present/shape.ts";

/** Undefined: all is well; else what is wrong. */
export type HealthCheck = () => string | undefined | Promise<string | undefined>;

export interface HealthOptions {
  /** By name, in the order of the list. */
  readonly checks: ReadonlyMap<string, HealthCheck>;
  /** Only /readyz has these: not ready while shutting down. */
  readonly readiness: ReadonlyMap<string, HealthCheck>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Told of each check that was made for one of the lists. */
  readonly observe?: (name: string, list: string, passed: boolean) => void;
}

/** A check that doesn't come back has failed. */
const checkMsMax = 2_000;

export function healthHandlers(options: HealthOptions): ReadonlyMap<string, PathHandler> {
  const { checks, readiness } = options;
  const ready = new Map([...checks, ...readiness]);
  const list = (name: string, of: ReadonlyMap<string, HealthCheck>): [string, PathHandler] => [
    name,
    (request) => answerHealth({ ...options, name, checks: of }, request),
  ];
  return new Map([list("healthz", checks), list("livez", checks), list("readyz", ready)]);
}

/** Every path of theirs. */
export function healthPaths({ checks, readiness }: Pick<HealthOptions, "checks" | "readiness">): string[] {
  const names = [...checks.keys()];
  const ready = [...names, ...readiness.keys()].map((each) => `readyz/${each}`);
  return ["healthz", "livez", "readyz", ...names.flatMap((each) => [`healthz/${each}`, `livez/${each}`]), ...ready];
}

interface HealthList extends Omit<HealthOptions, "readiness"> {
  readonly name: string;
}

async function answerHealth(list: HealthList, { parts, query }: PathRequest): Promise<Answer | undefined> {
  const { name, checks, log, observe } = list;
  if (parts.length > 1) {
    // Names have slashes: poststarthook/rbac/bootstrap-roles.
    const check = checks.get(parts.slice(1).join("/"));
    if (!check) return undefined;
    const wrong = await inTime(check, list);
    return wrong === undefined ? sniffedAnswer("ok") : textAnswer(500, `internal server error: ${wrong}\n`);
  }
  const excluded = new Set(query.all("exclude"));
  const unknown = [...excluded].filter((each) => !checks.has(each));
  const lines: string[] = [];
  const failures: string[] = [];
  for (const [each, check] of checks) {
    if (excluded.has(each)) {
      lines.push(`[+]${each} excluded: ok\n`);
      continue;
    }
    const wrong = await inTime(check, list);
    observe?.(each, name, wrong === undefined);
    if (wrong !== undefined) failures.push(`${each}: ${wrong}`);
    lines.push(wrong === undefined ? `[+]${each} ok\n` : `[-]${each} failed: reason withheld\n`);
  }
  if (unknown.length > 0) {
    const names = unknown.sort().map((each) => JSON.stringify(each));
    lines.push(`warn: some health checks cannot be excluded: no matches for ${names.join(", ")}\n`);
  }
  if (failures.length > 0) {
    // Whoever asks need not be told why.
    log.warn("health check failed", { list: name, failures });
    return textAnswer(500, `${lines.join("")}${name} check failed\n`);
  }
  return textAnswer(200, query.has("verbose") ? `${lines.join("")}${name} check passed\n` : "ok");
}

async function inTime(check: HealthCheck, { clock }: Pick<HealthList, "clock">): Promise<string | undefined> {
  const result = check();
  if (!(result instanceof Promise)) return result;
  const late = Promise.withResolvers<string>();
  const cancel = clock.after(checkMsMax, () => late.resolve(`no answer within ${checkMsMax} ms`));
  try {
    return await Promise.race([result, late.promise]);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    cancel();
  }
}

/** What a server does when it starts, by the names of upstream's hooks: a check fails until its step is done. */
export class StartSteps {
  readonly #names: readonly string[];
  readonly #done = new Set<string>();

  constructor(names: readonly string[]) {
    this.#names = names;
  }

  done(...names: readonly string[]): void {
    for (const name of names) this.#done.add(name);
  }

  checks(): [string, HealthCheck][] {
    return this.#names.map((name) => [name, () => (this.#done.has(name) ? undefined : "not finished")]);
  }
}

export interface VersionInfo {
  readonly major: string;
  readonly minor: string;
  readonly gitVersion: string;
}

export function versionHandler(version: VersionInfo): PathHandler {
  const { major, minor } = version;
  const value = {
    ...version,
    emulationMajor: major,
    emulationMinor: minor,
    minCompatibilityMajor: major,
    minCompatibilityMinor: String(Number(minor) - 1),
    gitCommit: "",
    gitTreeState: "clean",
    buildDate: "1970-01-01T00:00:00Z",
    // Clients only print these.
    goVersion: `node ${process.version}`,
    compiler: "v8",
    platform: `${process.platform}/${process.arch === "x64" ? "amd64" : process.arch}`,
  };
  const body = JSON.stringify(value, null, 2);
  return ({ method, parts, accept }) => {
    if (parts.length > 1) return undefined;
    if (method !== "GET") throw statusError.methodNotAllowed();
    if (accept && !parseAccept(accept).some(({ type }) => type === "application/json" || type === "*/*"))
      throw notAcceptable(["application/json"]);
    return { type: "raw", status: 200, headers: { "content-type": "application/json" }, body };
  };
}

/** `/` lists what there is. */
export function rootHandler(paths: () => readonly string[]): PathHandler {
  return ({ user: _ }) => ({ type: "value", status: 200, value: { paths: [...paths()].sort() } });
}
