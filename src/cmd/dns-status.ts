/** The small servers that CoreDNS has beside its own: alive, ready, metrics; each on a port of its own, when it is asked for. */
import { createServer, type Server } from "node:http";
import {
  collectProcess,
  type FlagSpecs,
  type FlagValues,
  metricFormatOf,
  metricContentTypes,
  type MetricRegistry,
  printMetrics,
} from "#base";
import { CommandError } from "./command.ts";

const portFlag = (help: string) =>
  ({ type: "int", default: 0, min: 0, max: 65_535, value: "PORT", help: `${help}; 0: none.` }) as const;

export const statusFlags = {
  "status-address": { type: "string", default: "0.0.0.0", value: "IP", help: "Address of the three below." },
  "health-port": portFlag("Port of /health, as CoreDNS at 8080"),
  "ready-port": portFlag("Port of /ready, which answers 503 until everything was listed, as CoreDNS at 8181"),
  "metrics-port": portFlag("Port of /metrics under CoreDNS' names, as CoreDNS at 9153"),
} as const satisfies FlagSpecs;

interface StatusOptions {
  readonly metrics: MetricRegistry;
  readonly isReady: () => boolean;
}
type Answer = readonly [status: number, body: string, type?: string];

/** Resolves when they listen, with what ends them. */
export async function serveStatus(
  values: FlagValues<typeof statusFlags>,
  { metrics, isReady }: StatusOptions,
): Promise<() => Promise<void>> {
  const servers: Server[] = [];
  const endProcess = values["metrics-port"] > 0 ? collectProcess(metrics) : undefined;
  const close = async () => {
    endProcess?.();
    await Promise.all(
      servers.map((server) => {
        server.closeAllConnections();
        return new Promise((done) => server.close(done));
      }),
    );
  };
  const serve = async (
    flag: "health-port" | "ready-port" | "metrics-port",
    path: string,
    answer: (accept?: string) => Promise<Answer>,
  ) => {
    const port = values[flag];
    if (port === 0) return;
    const server = createServer((request, response) => {
      const isHere = request.url?.split("?")[0] === path;
      const said = isHere ? answer(request.headers.accept) : Promise.resolve<Answer>([404, "404 page not found\n"]);
      said.then(
        ([status, body, type = "text/plain; charset=utf-8"]) =>
          response.writeHead(status, { "content-type": type }).end(body),
        (error: unknown) => response.writeHead(500).end(String(error)),
      );
    });
    servers.push(server);
    await new Promise<void>((ready, fail) => {
      const failed = ({ code, message }: NodeJS.ErrnoException) =>
        fail(new CommandError(`--${flag} ${port}: cannot listen on ${values["status-address"]}: ${code ?? message}`));
      server.once("error", failed).listen(port, values["status-address"], ready);
    });
  };
  try {
    await serve("health-port", "/health", async () => [200, "OK"]);
    await serve("ready-port", "/ready", async () => (isReady() ? [200, "OK"] : [503, "kubernetes"]));
    await serve("metrics-port", "/metrics", async (accept) => {
      const format = metricFormatOf(accept);
      return [200, [...printMetrics(await metrics.collect(), format)].join(""), metricContentTypes[format]];
    });
  } catch (error) {
    await close();
    throw error;
  }
  return close;
}
