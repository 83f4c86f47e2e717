/** HTTP probes: any status from 200 to 399 is well, redirects are followed on the same host. */
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { failure, joinHostPort, type ProbeOutcome, printSocketError, success } from "./outcome.ts";

export interface HttpProbe {
  readonly scheme: string;
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly timeoutMs: number;
}

interface Answer {
  readonly status: number;
  readonly location: string | undefined;
  readonly body: string;
}

const bodyBytesMax = 10 * 1024;
const redirectsMax = 10;
const userAgent = "kube-probe/1.36";

export async function probeHttp({ scheme, host, port, path, headers, timeoutMs }: HttpProbe): Promise<ProbeOutcome> {
  const first = new URL(`${scheme.toLowerCase()}://${joinHostPort(host, port)}`);
  const question = path.indexOf("?");
  first.pathname = question < 0 ? path : path.slice(0, question);
  if (question >= 0) first.search = path.slice(question);
  const signal = AbortSignal.timeout(timeoutMs);
  let url = first;
  for (let hop = 0; hop <= redirectsMax; hop++) {
    let answer: Answer;
    try {
      answer = await get(url, { headers, signal });
    } catch (error) {
      const cause = signal.aborted
        ? "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        : printSocketError(error as NodeJS.ErrnoException, withPort(url)); // from the socket
      return failure(`Get ${JSON.stringify(printUrl(url))}: ${cause}`);
    }
    if (answer.status >= 300 && answer.status < 400 && answer.location) {
      const next = new URL(answer.location, url);
      if (next.hostname !== first.hostname)
        return { result: "warning", output: `Probe terminated redirects, Response body: ${answer.body}` };
      url = next;
      continue;
    }
    return answer.status >= 200 && answer.status < 400
      ? success(answer.body)
      : failure(`HTTP probe failed with statuscode: ${answer.status}`);
  }
  return failure(`Get ${JSON.stringify(printUrl(url))}: stopped after ${redirectsMax} redirects`);
}

/** As Go writes it: no default port is dropped, because the host was given with one. */
const withPort = (url: URL): string => `${url.hostname}:${url.port || (url.protocol === "https:" ? "443" : "80")}`;
const printUrl = (url: URL): string => `${url.protocol}//${withPort(url)}${url.pathname}${url.search}`;

export function get(
  url: URL,
  { headers, signal }: { headers: HttpProbe["headers"]; signal: AbortSignal },
): Promise<Answer> {
  const sent: Record<string, string | string[]> = { "User-Agent": userAgent, Accept: "*/*" };
  for (const { name, value } of headers) {
    const known = Object.keys(sent).find((key) => key.toLowerCase() === name.toLowerCase());
    if (known && /^(user-agent|accept|host)$/i.test(name)) delete sent[known];
    if (value === "" && /^accept$/i.test(name)) continue;
    const before = sent[name];
    sent[name] = before === undefined ? value : [before, value].flat();
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
