/** Static pods of a URL: a pod or a list of them, asked for again and again. While it doesn't answer, nothing changes. */
import type { Pod } from "#api";
import { delay } from "#client";
import { decodeManifest, ManifestError, manifestBytesMax } from "./decode.ts";
import type { SourceOptions } from "./file-source.ts";

export interface UrlSourceOptions extends SourceOptions {
  readonly url: string;
  readonly headers: Readonly<Record<string, readonly string[]>>;
  readonly checkMs: number;
}

const answerMs = 10_000;
/** As upstream: who reads the log has understood by then. */
const complaintsMax = 4;

export async function followUrl(options: UrlSourceOptions, signal: AbortSignal): Promise<void> {
  const { url, clock, log, nodeName, checkMs } = options;
  const headers = Object.entries(options.headers).flatMap(([name, values]) => values.map((value) => [name, value]));
  let known: string | undefined;
  let failures = 0;

  async function ask(): Promise<readonly Pod[] | undefined> {
    const answer = await fetch(url, {
      headers: headers as [string, string][], // pairs, as made above
      signal: AbortSignal.any([signal, AbortSignal.timeout(answerMs)]),
    });
    const bytes = await readAtMost(answer, manifestBytesMax);
    if (answer.status !== 200) throw new ManifestError(`${url}: ${answer.status} ${answer.statusText}`);
    if (bytes.length === 0) {
      known = "";
      options.onPods([]);
      throw new ManifestError(`zero-length data received from ${url}`);
    }
    const text = bytes.toString("utf8");
    if (text === known) return undefined;
    known = text;
    return decodeManifest(text, { kind: "http", name: url }, nodeName);
  }

  while (!signal.aborted) {
    try {
      const pods = await ask();
      if (pods) options.onPods(pods);
      if (failures > 0) log.info("static pods are read from their URL again", { url });
      failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      if (++failures <= complaintsMax) log.warn("static pods can't be read from their URL", { url, error });
    }
    await delay(clock, checkMs, signal);
  }
}

async function readAtMost(answer: Response, bytesMax: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of answer.body ?? []) {
    size += part.length;
    if (size > bytesMax) throw new ManifestError(`${answer.url}: more than ${bytesMax} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}
