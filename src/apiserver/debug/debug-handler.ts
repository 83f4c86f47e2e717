/** /debug/…: profiles, the log level, what flow control holds. Not listed at `/`, as upstream. */
import type { Logger } from "#base";
import type { Answer } from "../answer.ts";
import type { PathHandler } from "../paths.ts";
import { createProfilePaths, htmlAnswer } from "./profile-paths.ts";

export interface DebugOptions {
  /** Profiles and the log level. Upstream's --profiling. */
  readonly profiling: boolean;
  readonly log: Logger;
  /** Below /debug/api_priority_and_fairness/. */
  readonly dumps?: PathHandler | undefined;
}

export function debugHandler({ profiling, log, dumps }: DebugOptions): PathHandler {
  const profiles = createProfilePaths();
  return (request) => {
    const [, area, ...rest] = request.parts;
    if (area === "api_priority_and_fairness") return dumps?.(request);
    if (!profiling) return undefined;
    if (area === "pprof") return profiles(request, rest);
    if (area !== "flags") return undefined;
    return rest.length === 1 && rest[0] === "v" ? logLevel(log, request.method) : flagIndex();
  };
}

const flagIndex = (): Answer => htmlAnswer(200, "<!doctype html>\n<title>/debug/flags/</title>\n<ul><li>v</li></ul>\n");

/** From this verbosity on, upstream tells what ours calls debug. */
const debugVerbosity = 4;
/** More than a number is no verbosity. */
const bodyBytesMax = 1024;

/** How much is logged, by the numbers of Go's logger. */
function logLevel(log: Logger, method: string): Answer {
  if (method !== "PUT") return plain(406, "unsupported http method\n");
  return {
    type: "stream",
    async run(request, sink, headers) {
      const text = (await request.body(bodyBytesMax)).toString("utf8");
      const type = { ...headers, "content-type": "text/plain", "x-content-type-options": "nosniff" };
      if (!/^\d{1,9}$/.test(text)) {
        const why = `strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax\n`;
        return sink.respond(400, type, why);
      }
      if (log.threshold) log.threshold.level = Number(text) >= debugVerbosity ? "debug" : "info";
      sink.respond(200, type, `successfully set klog.logging.verbosity to ${text}\n`);
    },
  };
}

const plain = (status: number, body: string): Answer => ({
  type: "raw",
  status,
  headers: { "content-type": "text/plain", "x-content-type-options": "nosniff" },
  body,
});
