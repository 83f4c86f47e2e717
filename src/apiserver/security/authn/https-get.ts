/** Reads a small document over HTTPS from somebody who may be slow, lie or send without end. */
import type { IncomingHttpHeaders, RequestOptions } from "node:http";
import { request } from "node:https";
import { printRequestError } from "../../streaming/dial-error.ts";

export interface Fetched {
  readonly status: number;
  readonly statusText: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface GetOptions {
  /** PEM; without it the authorities that Node.js knows. */
  readonly authorities?: string | undefined;
  readonly bearer?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** As upstream's client. */
const timeoutMs = 30_000;
/** Key sets have a few kilobytes. */
const bodyBytesMax = 1024 * 1024;
const redirectsMax = 10;

/** Rejects when there is no answer; redirects are followed, but never away from HTTPS. */
export async function httpsGet(url: string, options: GetOptions = {}): Promise<Fetched> {
  const timeout = AbortSignal.timeout(timeoutMs);
  const signal = options.signal ? AbortSignal.any([timeout, options.signal]) : timeout;
  let at = new URL(url);
  for (let redirects = 0; ; redirects++) {
    if (at.protocol !== "https:") throw new Error(`Get ${JSON.stringify(url)}: unsupported protocol ${at.protocol}`);
    const answer = await getOnce(at, { ...options, signal }).catch((error: unknown) => {
      throw new Error(
        `Get ${JSON.stringify(at.href)}: ${timeout.aborted ? "context deadline exceeded" : printFailure(error, at)}`,
      );
    });
    const { location } = answer.headers;
    if (![301, 302, 303, 307, 308].includes(answer.status) || location === undefined) return answer;
    if (redirects >= redirectsMax) throw new Error(`Get ${JSON.stringify(at.href)}: stopped after 10 redirects`);
    at = new URL(location, at);
  }
}

function printFailure(error: unknown, { host, hostname }: URL): string {
  const { code, message } = error as NodeJS.ErrnoException; // of a socket, or ours
  return code === undefined ? message : printRequestError(error, { host, serverName: hostname });
}

function getOnce(url: URL, { authorities, bearer, signal }: GetOptions): Promise<Fetched> {
  return new Promise((resolve, reject) => {
    const options: RequestOptions & { ca?: string } = {
      agent: false,
      headers: { accept: "application/json", ...(bearer ? { authorization: `Bearer ${bearer}` } : {}) },
      ...(signal && { signal }),
      ...(authorities !== undefined && { ca: authorities }),
    };
    const asking = request(url, options, (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > bodyBytesMax) response.destroy(new Error(`the answer is larger than ${bodyBytesMax} bytes`));
        else chunks.push(chunk);
      });
      response.on("error", reject);
      response.on("end", () => {
        const { statusCode: status = 0, statusMessage: statusText = "", headers } = response;
        resolve({
          status,
          statusText: `${status} ${statusText}`,
          headers,
          body: Buffer.concat(chunks).toString("utf8"),
        });
      });
    });
    asking.on("error", reject);
    asking.end();
  });
}
