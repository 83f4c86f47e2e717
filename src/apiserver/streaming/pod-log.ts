/** GET of a pod's log: the kubelet's bytes, as they come, with the client's back-pressure. */
import type { IncomingMessage } from "node:http";
import { statusError } from "#machinery";
import type { Answer } from "../answer.ts";
import type { ResponseHeaders, ResponseSink, ServerRequest } from "../http/exchange.ts";
import type { Call } from "../registry/call.ts";
import type { RegistryCore } from "../registry/core.ts";
import { plainError } from "../registry/errors.ts";
import { printDialError } from "./dial-error.ts";
import type { KubeletConnector } from "./kubelet-connector.ts";
import { type PodLogOptions, readPodLogOptions } from "./log-options.ts";
import { chooseContainer, nodeNamed, podOf } from "./pods.ts";
import { upgradeOf } from "./upgrade-request.ts";

/** As upstream: of an error that the kubelet tells. */
const errorBytesMax = 50_000;

export const podLog =
  (kubelets: KubeletConnector) =>
  async (call: Call, core: RegistryCore): Promise<Answer> => {
    const options = readPodLogOptions(call.query, call.target.name);
    const pod = await podOf(core, call);
    const container = chooseContainer(pod, options.container);
    const nodeName = pod.spec?.nodeName ?? "";
    // Nothing runs anywhere yet: an empty log.
    if (nodeName === "") return { type: "raw", status: 204, headers: {}, body: "" };
    const url = kubelets.locate(await nodeNamed(core, call, nodeName));
    url.pathname = `/containerLogs/${call.target.namespace}/${pod.metadata.name}/${container}`;
    url.search = String(logQuery(options));
    return {
      type: "stream",
      async run(request, sink, headers) {
        const source = await openLog(kubelets, { url, options, request });
        const upgrade = upgradeOf(request);
        if (upgrade) {
          const { sendOverWebSocket } = await import("./log-websocket.ts");
          return sendOverWebSocket(upgrade, source);
        }
        await send(source, { request, sink, headers: { ...headers, "content-type": "text/plain" } });
      },
    };
  };

function logQuery(options: PodLogOptions): URLSearchParams {
  const query = new URLSearchParams();
  for (const name of ["follow", "previous", "timestamps"] as const) if (options[name]) query.set(name, "true");
  for (const name of ["sinceSeconds", "sinceTime", "tailLines", "limitBytes"] as const) {
    if (options[name] !== undefined) query.set(name, String(options[name]));
  }
  if (options.stream !== "All") query.set("stream", options.stream);
  return query;
}

async function openLog(
  kubelets: KubeletConnector,
  { url, options, request }: { url: URL; options: PodLogOptions; request: ServerRequest },
): Promise<IncomingMessage> {
  let response: IncomingMessage;
  try {
    response = await kubelets.get({ url, insecure: options.insecureSkipTLSVerifyBackend, signal: request.signal });
  } catch (error) {
    throw plainError(`Get ${JSON.stringify(url.href)}: ${printDialError(error, url.host)}`);
  }
  const status = response.statusCode ?? 0;
  if (status >= 200 && status <= 206) return response;
  const text = await readText(response);
  if (status === 500) throw statusError.internal(text);
  if (status === 400) throw statusError.badRequest(text);
  throw statusError.generic(status, text);
}

async function readText(response: IncomingMessage): Promise<string> {
  let text = "";
  response.setEncoding("utf8");
  for await (const chunk of response) {
    text += chunk;
    if (text.length > errorBytesMax) break;
  }
  return text.slice(0, errorBytesMax);
}

interface Receiver {
  readonly request: ServerRequest;
  readonly sink: ResponseSink;
  readonly headers: ResponseHeaders;
}

async function send(source: IncomingMessage, { request, sink, headers }: Receiver): Promise<void> {
  sink.head(200, headers);
  const stop = (): void => void source.destroy();
  request.signal.addEventListener("abort", stop, { once: true });
  try {
    for await (const chunk of source) if (!sink.write(chunk)) await sink.drained();
  } catch (error) {
    // The client went, or the kubelet did: then the client must not take the log for complete.
    if (request.signal.aborted) return;
    throw error;
  } finally {
    request.signal.removeEventListener("abort", stop);
  }
  sink.end();
}
