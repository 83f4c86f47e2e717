/** /debug/pprof/…: the paths and answers of Go's net/http/pprof, as far as this process has such a thing. */
import type { Answer } from "../answer.ts";
import type { ResponseHeaders, ResponseSink, ServerRequest } from "../http/exchange.ts";
import { type PathRequest, textAnswer } from "../paths.ts";
import { ProcessProfiler, ProfilerBusy } from "./profiler.ts";

/** What Go takes when nobody says how long. */
const cpuSeconds = 30;
/** There is no history to look back on: what is allocated from now on. */
const heapSeconds = 5;
/** Nobody keeps the profiler for longer. */
const secondsMax = 600;

interface Profile {
  readonly seconds: number;
  readonly about: string;
  take(profiler: ProcessProfiler, request: { seconds: number; signal: AbortSignal }): Promise<Buffer>;
}

const profiles: Readonly<Record<string, Profile>> = {
  profile: {
    seconds: cpuSeconds,
    about: "where the processor's time goes; ?seconds=N",
    take: (profiler, request) => profiler.cpu(request),
  },
  heap: {
    seconds: heapSeconds,
    about: "memory allocated from now on that is still in use; ?seconds=N",
    take: (profiler, request) => profiler.heap(request, { all: false }),
  },
  allocs: {
    seconds: heapSeconds,
    about: "all memory allocated from now on; ?seconds=N",
    take: (profiler, request) => profiler.heap(request, { all: true }),
  },
};

/** `parts`: behind /debug/pprof. */
export function createProfilePaths() {
  const profiler = new ProcessProfiler();
  return ({ path, method, query }: PathRequest, [name, ...more]: readonly string[]): Answer | undefined => {
    if (name === undefined) return path.endsWith("/") ? index() : redirect("/debug/pprof/", method);
    if (more.length > 0) return unknownProfile();
    if (name === "cmdline") return textAnswer(200, process.argv.join("\0"));
    // Functions are named in the profile: there is nothing to look up.
    if (name === "symbol") return textAnswer(200, "num_symbols: 1\n");
    const profile = Object.hasOwn(profiles, name) ? profiles[name] : undefined;
    if (!profile) return unknownProfile();
    const asked = Number(query.get("seconds"));
    if (asked > secondsMax) return textAnswer(400, `a profile takes ${secondsMax} seconds at most\n`);
    const seconds = asked > 0 ? asked : profile.seconds;
    return {
      type: "stream",
      run: (request, sink, headers) => answerProfile({ profiler, profile, name, seconds }, request, { sink, headers }),
    };
  };
}

interface Taken {
  readonly profiler: ProcessProfiler;
  readonly profile: Profile;
  readonly name: string;
  readonly seconds: number;
}

async function answerProfile(
  { profiler, profile, name, seconds }: Taken,
  request: ServerRequest,
  { sink, headers }: { sink: ResponseSink; headers: ResponseHeaders },
): Promise<void> {
  try {
    const bytes = await profile.take(profiler, { seconds, signal: request.signal });
    sink.respond(
      200,
      {
        ...headers,
        "content-type": "application/octet-stream",
        "content-disposition": `attachment; filename="${name}"`,
        "x-content-type-options": "nosniff",
      },
      bytes,
    );
  } catch (error) {
    if (!(error instanceof ProfilerBusy)) throw error;
    const type = {
      "content-type": "text/plain; charset=utf-8",
      "x-go-pprof": "1",
      "x-content-type-options": "nosniff",
    };
    sink.respond(500, { ...headers, ...type }, `Could not enable CPU profiling: ${error.message}\n`);
  }
}

const unknownProfile = (): Answer => textAnswer(404, "Unknown profile\n");

export const htmlAnswer = (status: number, body: string, headers: ResponseHeaders = {}): Answer => ({
  type: "raw",
  status,
  headers: { "content-type": "text/html; charset=utf-8", ...headers },
  body,
});

function redirect(location: string, method: string): Answer {
  const body = method === "GET" ? `<a href="${location}">Found</a>.\n\n` : "";
  return htmlAnswer(302, body, { location });
}

function index(): Answer {
  const rows = Object.entries(profiles).map(([name, { about }]) => `<li><a href="${name}">${name}</a>: ${about}</li>`);
  return htmlAnswer(
    200,
    `<!doctype html>
<title>/debug/pprof/</title>
<h1>/debug/pprof/</h1>
<p>Profiles for <code>go tool pprof</code>:</p>
<ul>
${rows.join("\n")}
</ul>
`,
  );
}
