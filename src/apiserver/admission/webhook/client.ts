/**
 * Asks a webhook over HTTPS. Connections are kept, by address, name and authority, as the agent does by itself; those nobody uses
 * don't keep the process alive.
 */
import { Agent, request as httpsRequest } from "node:https";
import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import type { Service, WebhookClientConfig } from "#api";
import { type DeepReadonly, statusError } from "#machinery";
import { printRequestError } from "../../streaming/dial-error.ts";
import type { Lookup } from "../chain.ts";
import { AnswerTextError, readAnswer } from "./answer-text.ts";

/** Idle connections to one webhook: more than this only come from a burst. */
const idleSocketsMax = 8;
/** An answer is an object's patch at most; keeps a mad webhook from filling memory. */
const answerBytesMax = 8 * 1024 * 1024;
const defaultPort = 443;

/** The call didn't lead to an answer; the message is what upstream prints behind `failed to call webhook: `. */
export class CallError extends Error {
  override name = "CallError";
}

export interface WebhookCall {
  readonly client: DeepReadonly<WebhookClientConfig>;
  readonly body: Buffer;
  readonly timeoutSeconds: number;
}

export interface WebhookClient {
  /** The body of a successful answer; rejects with a CallError. */
  post(call: WebhookCall, lookup: Lookup): Promise<string>;
  close(): void;
}

interface Destination {
  /** As in messages. */
  readonly url: URL;
  readonly host: string;
  readonly port: number;
  /** The name in the certificate. */
  readonly serverName: string;
}

export function createWebhookClient(): WebhookClient {
  const agent = new Agent({ keepAlive: true, maxFreeSockets: idleSocketsMax, timeout: 90_000 });
  return {
    async post({ client, body, timeoutSeconds }, lookup) {
      const url = printedUrl(client);
      // The webhook learns how long it has.
      url.searchParams.set("timeout", `${timeoutSeconds}s`);
      const fail = (why: string) => new CallError(`Post ${JSON.stringify(printUrl(client, url))}: ${why}`);
      const destination = await resolve(client, url, lookup).catch((error: unknown) => {
        throw fail((error as Error).message); // a StatusError or an Error of ours
      });
      const signal = AbortSignal.timeout(timeoutSeconds * 1000);
      const answer = await send(agent, { destination, client, body, signal }).catch((error: unknown) => {
        throw fail(printFailure(error, { destination, signal }));
      });
      const code = answer.status;
      if (answer.text === "" && code >= 200 && code <= 299)
        throw new CallError(`0-length response with status code: ${code} and content type: ${answer.type}`);
      if (code >= 200 && code <= 299) return answer.text;
      throw new CallError(failureIn(answer.text) ?? statusError.generic(code, answer.text.trim() || "unknown").message);
    },
    close: () => agent.destroy(),
  };
}

/** Webhooks may refuse as the API does. */
function failureIn(text: string): string | undefined {
  try {
    const { kind = "Status", status, message } = readAnswer(text);
    return kind === "Status" && status === "Failure" && typeof message === "string" ? message : undefined;
  } catch (error) {
    if (error instanceof AnswerTextError) return undefined;
    throw error;
  }
}

function printedUrl({ url, service }: DeepReadonly<WebhookClientConfig>): URL {
  if (url !== undefined) return new URL(url);
  const { name = "", namespace = "", path = "", port = defaultPort } = service ?? {};
  const parsed = new URL(`https://${name}.${namespace}.svc:${port}`);
  parsed.pathname = path;
  return parsed;
}

/** The port of a Service is always said, also the usual one. */
function printUrl({ service }: DeepReadonly<WebhookClientConfig>, url: URL): string {
  return service ? `https://${url.hostname}:${url.port || defaultPort}${url.pathname}${url.search}` : url.href;
}

async function resolve({ service }: DeepReadonly<WebhookClientConfig>, url: URL, lookup: Lookup): Promise<Destination> {
  const port = Number(url.port || defaultPort);
  const serverName = url.hostname.replace(/^\[|\]$/g, "");
  if (!service) return { url, host: serverName, port, serverName };
  const found = await lookup.get<Service>(lookup.kind("", "services"), service.namespace, service.name);
  if (!found) throw new Error(`service ${JSON.stringify(service.name)} not found`);
  const { type = "ClusterIP", clusterIP = "", externalName = "", ports = [] } = found.spec ?? {};
  if (type === "ExternalName") return { url, host: externalName, port, serverName };
  if (clusterIP === "None") throw new Error('cannot route to service with ClusterIP "None"');
  if (!ports.some((each) => each.port === port))
    throw new Error(`no service port ${port} found for service ${JSON.stringify(service.name)}`);
  return { url, host: clusterIP, port, serverName };
}

interface Sending {
  readonly destination: Destination;
  readonly client: DeepReadonly<WebhookClientConfig>;
  readonly body: Buffer;
  readonly signal: AbortSignal;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

function send(agent: Agent, { destination, client, body, signal }: Sending): Promise<Answer> {
  const { host, port, serverName, url } = destination;
  return new Promise((resolve, reject) => {
    const request = httpsRequest({
      agent,
      signal,
      host,
      port,
      method: "POST",
      path: `${url.pathname}${url.search}`,
      // An address has no place in a server name.
      servername: isIP(serverName) ? "" : serverName,
      headers: {
        host: url.port ? `${url.hostname}:${port}` : url.hostname,
        "content-type": "application/json",
        "content-length": body.length,
        accept: "application/json, */*",
        "user-agent": "kube-apiserver-admission",
      },
      ...(client.caBundle && { ca: Buffer.from(client.caBundle, "base64") }),
    });
    request.on("error", reject);
    request.on("response", (response) => {
      const type = response.headers["content-type"] ?? "application/json";
      readAll(response).then((text) => resolve({ status: response.statusCode ?? 0, type, text }), reject);
    });
    request.end(body);
  });
}

async function readAll(response: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of response as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > answerBytesMax) throw new Error("http: request body too large");
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString("utf8");
}

function printFailure(error: unknown, { destination, signal }: Pick<Sending, "destination" | "signal">): string {
  if (signal.aborted) return "context deadline exceeded";
  const { host, port, serverName } = destination;
  return printRequestError(error, { host: isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`, serverName });
}
