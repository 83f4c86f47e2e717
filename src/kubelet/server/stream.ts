/**
 * exec, attach and port-forward: the runtime is asked where it serves them, and the client's connection becomes one with the runtime's.
 * What they say to each other (SPDY or WebSocket) passes through untouched.
 */
import type { OutgoingHttpHeaders } from "node:http";
import type { Logger } from "#base";
import { printHead, requestUpgrade, splice } from "#base";
import { CriError } from "../cri/client.ts";
import { HostError, type HostedPod, type KubeletHost } from "../host.ts";
import { type Exchange, type PendingUpgrade, sendText } from "./exchange.ts";

export interface StreamContext {
  readonly host: KubeletHost;
  readonly log: Logger;
  /** Speaks the newest WebSocket protocols, which runtimes don't; missing: they are passed on all the same. */
  readonly translate?: (stream: TranslatedExchange) => Promise<void>;
}

export interface TranslatedExchange {
  readonly exchange: Exchange;
  readonly connection: PendingUpgrade["connection"];
  readonly url: URL;
  /** Undefined: ports are forwarded. */
  readonly streams: StreamOptions | undefined;
}

const commandProtocol = "v5.channel.k8s.io";
const tunnelProtocol = /^SPDY\/3\.1\+.*\.k8s\.io$/;

/** The runtime is on this machine. */
const runtimeTimeoutMs = 30_000;
/** Upstream's cacheTTL: how long a runtime keeps the places it has promised. */
const retrySeconds = 60;

export interface StreamOptions {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}

export async function serveExec(context: StreamContext, exchange: Exchange): Promise<void> {
  const options = streamOptions(exchange);
  const found = options && findPod(context, exchange);
  if (!options || !found) return;
  await stream(
    context,
    exchange,
    async () => {
      const { id } = running(context, found, exchange);
      const cmd = exchange.query.getAll("command");
      return (await context.host.cri.runtime.exec({ containerId: id, cmd, ...options })).url;
    },
    options,
  );
}

export async function serveAttach(context: StreamContext, exchange: Exchange): Promise<void> {
  const options = streamOptions(exchange);
  const found = options && findPod(context, exchange);
  if (!options || !found) return;
  await stream(
    context,
    exchange,
    async () => {
      const { id, tty } = attachable(context, found, exchange);
      // What a running process has can't be chosen any more.
      const asked = { ...options, tty, stderr: options.stderr && !tty };
      return (await context.host.cri.runtime.attach({ containerId: id, ...asked })).url;
    },
    options,
  );
}

export async function servePortForward(context: StreamContext, exchange: Exchange): Promise<void> {
  const [, namespace = "", name = "", uid = ""] = exchange.parts;
  const isTunnel = context.translate && protocolsOf(exchange).some((name) => tunnelProtocol.test(name));
  const port = isWebSocket(exchange) && !isTunnel ? portsOf(exchange.query) : [];
  if (typeof port === "string") return sendText(exchange, 400, port);
  const found = context.host.findPod(namespace, name);
  if (!found) return sendText(exchange, 404, "pod does not exist");
  if (uid && found.pod.metadata.uid !== uid) return sendText(exchange, 404, "pod not found");
  await stream(context, exchange, async () => {
    const podSandboxId = context.host.sandbox(found);
    return (await context.host.cri.runtime.portForward({ podSandboxId, port })).url;
  });
}

function findPod({ host }: StreamContext, exchange: Exchange): HostedPod | undefined {
  const [, namespace = "", name = ""] = exchange.parts;
  const found = host.findPod(namespace, name);
  if (!found) sendText(exchange, 404, "pod does not exist");
  return found;
}

/** `/exec/{namespace}/{pod}/{container}`, or with the pod's uid before the container. */
function running({ host }: StreamContext, found: HostedPod, { parts }: Exchange): { id: string; tty: boolean } {
  const container = parts.at(-1) ?? "";
  const uid = parts.length === 5 ? parts[3] : undefined;
  if (uid !== undefined && found.pod.metadata.uid !== uid) {
    throw new HostError(500, `container not found (${JSON.stringify(container)})`);
  }
  return host.runningContainer(found, container);
}

/** As `running`, with another text of upstream's. */
function attachable(context: StreamContext, found: HostedPod, exchange: Exchange): { id: string; tty: boolean } {
  try {
    return running(context, found, exchange);
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    const { name, namespace } = found.pod.metadata;
    throw new HostError(error.code, `container ${exchange.parts.at(-1)} not found in pod ${name}_${namespace}`);
  }
}

function streamOptions(exchange: Exchange): StreamOptions | undefined {
  const asked = (name: string): boolean => exchange.query.get(name) === "1" || exchange.query.get(name) === "true";
  const tty = asked("tty");
  const options = { stdin: asked("input"), stdout: asked("output"), stderr: asked("error") && !tty, tty };
  if (options.stdin || options.stdout || options.stderr) return options;
  sendText(exchange, 400, "you must specify at least 1 of stdin, stdout, stderr");
  return undefined;
}

const isWebSocket = ({ request }: Exchange): boolean => /^websocket$/i.test(request.headers.upgrade ?? "");

/** The ports of a WebSocket, which has no headers to name them later; or what is wrong with them. */
function portsOf(query: URLSearchParams): number[] | string {
  const all = query.getAll("port");
  if (all.length === 0) return 'query parameter "port" is required';
  const ports: number[] = [];
  for (const text of all) {
    if (text === "") return 'query parameter "port" cannot be empty';
    for (const one of text.split(",")) {
      const port = Number(one);
      if (!/^\d+$/.test(one) || port > 65535) {
        const why = /^\d+$/.test(one) ? "value out of range" : "invalid syntax";
        const cause = `strconv.ParseUint: parsing ${JSON.stringify(one)}: ${why}`;
        return `unable to parse ${JSON.stringify(text)} as a port: ${cause}`;
      }
      if (port < 1) return `port ${JSON.stringify(one)} must be > 0`;
      ports.push(port);
    }
  }
  return ports;
}

/** What a WebSocket offers to speak. */
const protocolsOf = (exchange: Exchange): readonly string[] =>
  isWebSocket(exchange)
    ? (exchange.request.headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim())
    : [];

/** `streams` of a command; without them ports are forwarded. */
async function stream(
  context: StreamContext,
  exchange: Exchange,
  ask: () => Promise<string>,
  streams?: StreamOptions,
): Promise<void> {
  let url: URL;
  try {
    url = new URL(await ask());
  } catch (error) {
    return refuse(context, exchange, error);
  }
  if (!exchange.upgrade) return sendText(exchange, 500, "Upgrade request required\n");
  const isNew = protocolsOf(exchange).some((name) => (streams ? name === commandProtocol : tunnelProtocol.test(name)));
  if (isNew && context.translate)
    return context.translate({ exchange, connection: exchange.upgrade.connection, url, streams });
  await passOn(context, exchange, url);
}

/** Upstream's WriteError: the code of a gRPC error counts, everything else is a 500. */
function refuse({ log }: StreamContext, exchange: Exchange, error: unknown): void {
  let status = 500;
  let text = error instanceof Error ? error.message : String(error);
  const headers: Record<string, string> = {};
  if (error instanceof CriError) {
    text = `rpc error: code = ${codeName(error.code)} desc = ${error.details}`;
    if (error.code === "NOT_FOUND") status = 404;
    if (error.code === "RESOURCE_EXHAUSTED") {
      status = 429;
      headers["retry-after"] = String(retrySeconds);
    }
  } else if (!(error instanceof HostError)) {
    log.error("a stream could not be opened", { path: exchange.request.url, error });
  }
  sendText(exchange, status, text, headers);
}

const codeName = (code: string): string =>
  code
    .toLowerCase()
    .split("_")
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join("");

async function passOn({ log }: StreamContext, exchange: Exchange, url: URL): Promise<void> {
  const { request, response, upgrade, signal } = exchange;
  let answer: Awaited<ReturnType<typeof requestUpgrade>>;
  try {
    answer = await requestUpgrade({
      url,
      method: request.method ?? "GET",
      headers: forwardedHeaders(exchange),
      timeoutMs: runtimeTimeoutMs,
      signal,
    });
  } catch (error) {
    if (signal.aborted) return;
    log.warn("the runtime's streaming server doesn't answer", { url: url.origin, error });
    return sendText(exchange, 500, `error dialing backend: ${(error as Error).message}\n`); // from the socket
  }
  if (answer.type === "answered") {
    response.writeHead(answer.response.statusCode ?? 500, answer.response.headers);
    answer.response.pipe(response);
    return;
  }
  const taken = upgrade?.takeOver();
  if (!taken) return void answer.socket.destroy();
  taken.socket.write(printHead(answer.response));
  if (answer.head.length > 0) answer.socket.unshift(answer.head);
  if (taken.head.length > 0) taken.socket.unshift(taken.head);
  await splice(taken.socket, answer.socket);
}

/** As they came, without what was only for us. */
function forwardedHeaders({ request }: Exchange): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {};
  for (const [name, values = []] of Object.entries(request.headersDistinct)) {
    if (name !== "authorization") headers[name] = values.length === 1 ? values[0] : values;
  }
  const before = request.headersDistinct["x-forwarded-for"] ?? [];
  const all = [...before, request.socket.remoteAddress ?? ""].filter((address) => address !== "");
  return { ...headers, "x-forwarded-for": all.join(", ") };
}
