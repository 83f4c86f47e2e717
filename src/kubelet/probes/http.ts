/** HTTP probes: any status from 200 to 399 is well, redirects are followed on the same host. */
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { failure, joinHostPort, type ProbeOutcome, printSocketError, success } from "./outcome.ts";

export interface HttpTarget {
  readonly scheme: string;
  readonly host: string;
  readonly port: number;
  readonly path: string;
}

export interface HttpProbe extends HttpTarget {
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly timeoutMs: number;
}

export interface HttpCall {
  readonly headers: HttpProbe["headers"];
  readonly signal: AbortSignal;
  /** Of the user agent. */
  readonly purpose: "probe" | "lifecycle";
}

interface Answer {
  readonly status: number;
  readonly location: string | undefined;
  readonly body: string;
}

export class HttpError extends Error {
  override name = "HttpError";
  /** Somebody answered, but not with TLS. */
  readonly isPlainAnswer: boolean;

  constructor(message: string, isPlainAnswer: boolean) {
    super(message);
    this.isPlainAnswer = isPlainAnswer;
  }
}

const bodyBytesMax = 10 * 1024;
const requestsMax = 10;
const redirects = new Set([301, 302, 303, 307, 308]);

export async function probeHttp({ timeoutMs, headers, ...target }: HttpProbe): Promise<ProbeOutcome> {
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const { status, body } = await callHttp(httpUrl(target), { headers, signal, purpose: "probe" });
    if (status < 200 || status >= 400) return failure(`HTTP probe failed with statuscode: ${status}`);
    return status < 300
      ? success(body)
      : { result: "warning", output: `Probe terminated redirects, Response body: ${body}` };
  } catch (error) {
    if (error instanceof HttpError) return failure(error.message);
    throw error;
  }
}

export function httpUrl({ scheme, host, port, path }: HttpTarget): URL {
  const url = new URL(`${scheme.toLowerCase()}://${joinHostPort(host, port)}`);
  const [beforeFragment = ""] = path.split("#");
  const question = beforeFragment.indexOf("?");
  url.pathname = question < 0 ? beforeFragment : beforeFragment.slice(0, question);
  if (question >= 0) url.search = beforeFragment.slice(question);
  return url;
}

/** The last answer of those that redirects on the same host lead to. Throws HttpError with Go's text. */
export async function callHttp(first: URL, call: HttpCall): Promise<Answer> {
  let url = first;
  for (let requests = 1; ; requests++) {
    const fail = (why: string, isPlainAnswer = false) =>
      new HttpError(`Get ${JSON.stringify(printUrl(url))}: ${why}`, isPlainAnswer);
    let answer: Answer;
    try {
      answer = await get(url, call);
    } catch (error) {
      if (call.signal.aborted) throw fail("context deadline exceeded (Client.Timeout exceeded while awaiting headers)");
      const { code } = error as NodeJS.ErrnoException; // from the socket
      if (code === "ERR_SSL_WRONG_VERSION_NUMBER" || code === "ERR_SSL_PACKET_LENGTH_TOO_LONG")
        throw fail("http: server gave HTTP response to HTTPS client", true);
      throw fail(printSocketError(error as NodeJS.ErrnoException, withPort(url))); // likewise
    }
    if (!redirects.has(answer.status) || !answer.location) return answer;
    const next = new URL(answer.location, url);
    if (next.hostname !== first.hostname) return answer;
    url = next;
    if (requests >= requestsMax) throw fail(`stopped after ${requestsMax} redirects`);
  }
}

/** As Go writes it: no default port is dropped, because the host was given with one. */
const withPort = (url: URL): string => `${url.hostname}:${url.port || (url.protocol === "https:" ? "443" : "80")}`;
const printUrl = (url: URL): string => `${url.protocol}//${withPort(url)}${url.pathname}${url.search}`;

function get(url: URL, { headers, signal, purpose }: HttpCall): Promise<Answer> {
  const sent: Record<string, string | string[]> = { "User-Agent": `kube-${purpose}/1.36`, Accept: "*/*" };
  const isGiven = (name: string) => headers.some((header) => header.name.toLowerCase() === name.toLowerCase());
  for (const name of Object.keys(sent)) if (isGiven(name)) delete sent[name];
  for (const { name, value } of headers) {
    if (value === "" && /^accept$/i.test(name)) continue;
    const known = Object.keys(sent).find((key) => key.toLowerCase() === name.toLowerCase());
    // One host at most goes into a request.
    if (known && /^host$/i.test(name)) continue;
    const before = known && sent[known];
    sent[known ?? name] = before === undefined ? value : [before, value].flat();
  }
  return new Promise((resolve, reject) => {
    const send = url.protocol === "https:" ? httpsRequest : httpRequest;
    // Certificates of containers are not checked: a probe asks whether somebody answers.
    const request = send(url, { headers: sent, signal, agent: false, rejectUnauthorized: false }, (response) => {
      const parts: Buffer[] = [];
      let bytes = 0;
      const done = () =>
        resolve({
          status: response.statusCode ?? 0,
          location: response.headers.location,
          body: Buffer.concat(parts).toString("utf8", 0, bodyBytesMax),
        });
      response.on("data", (part: Buffer) => {
        parts.push(part);
        bytes += part.length;
        if (bytes < bodyBytesMax) return;
        done();
        response.destroy();
      });
      response.on("end", done);
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end();
  });
}
