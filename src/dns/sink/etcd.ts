/**
 * The little of etcd v3 that a writer needs: a range and a transaction, through the JSON gateway that every etcd since 3.4 has under `/v3`. Over
 * gRPC the same would take a schema, a codec and a library that stays loaded; watching, which JSON does badly, isn't needed here.
 */
import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from "node:http";
import { Agent as HttpsAgent, request as requestHttps } from "node:https";

export class EtcdError extends Error {
  override name = "EtcdError";
}

export interface EtcdOptions {
  /** `http://host:2379`; each is tried when the one before doesn't answer. */
  readonly endpoints: readonly string[];
  /** PEM. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
}

/** Undefined value: delete. */
export type EtcdWrite = readonly [key: string, value: string | undefined];

export interface EtcdHeader {
  readonly clusterId: string;
  readonly revision: bigint;
}

export interface Etcd {
  /** All keys that begin so, page by page. */
  range(prefix: string, each: (key: string, value: string) => void): Promise<EtcdHeader>;
  /** All or nothing; at most `writesMax`, each key once. */
  write(writes: readonly EtcdWrite[]): Promise<EtcdHeader>;
  close(): void;
}

/** etcd's own default is 128 operations in a transaction. */
export const writesMax = 120;
const pageKeys = 2_000;
const answerMsMax = 10_000;
const answerBytesMax = 64 * 1024 * 1024;

const encode = (text: string): string => Buffer.from(text).toString("base64");
const decode = (text = ""): string => Buffer.from(text, "base64").toString();

/** The first key after all that begin so. */
function endOf(prefix: string): string {
  const bytes = Buffer.from(prefix);
  let last = bytes.length - 1;
  while (last >= 0 && bytes[last] === 0xff) last--;
  if (last < 0) return encode("\0");
  bytes[last] = (bytes[last] ?? 0) + 1;
  return bytes.subarray(0, last + 1).toString("base64");
}

interface Answer {
  readonly header?: { readonly cluster_id?: string; readonly revision?: string };
  readonly kvs?: readonly { readonly key: string; readonly value?: string }[];
  readonly more?: boolean;
}

export function createEtcd({ endpoints, tls }: EtcdOptions): Etcd {
  const agents = {
    "http:": new HttpAgent({ keepAlive: true, maxSockets: 2 }),
    "https:": new HttpsAgent({ keepAlive: true, maxSockets: 2, ...tls }),
  };
  let current = 0;

  async function call(path: string, body: unknown): Promise<Answer> {
    const problems: string[] = [];
    for (const _ of endpoints) {
      const endpoint = endpoints[current % endpoints.length] ?? "";
      try {
        return await post(new URL(path, endpoint), JSON.stringify(body), agents);
      } catch (error) {
        problems.push(`${endpoint}: ${(error as Error).message}`);
        current++;
      }
    }
    throw new EtcdError(`etcd doesn't take ${path}: ${problems.join("; ")}`);
  }
  const headerOf = ({ header }: Answer): EtcdHeader => ({
    clusterId: header?.cluster_id ?? "",
    revision: BigInt(header?.revision ?? 0),
  });

  return {
    async range(prefix, each) {
      const range_end = endOf(prefix);
      let key = encode(prefix);
      for (;;) {
        const answer = await call("/v3/kv/range", { key, range_end, limit: pageKeys });
        for (const pair of answer.kvs ?? []) each(decode(pair.key), decode(pair.value));
        const last = answer.kvs?.at(-1);
        if (!answer.more || !last) return headerOf(answer);
        key = Buffer.concat([Buffer.from(last.key, "base64"), Buffer.from([0])]).toString("base64");
      }
    },
    async write(writes) {
      const success = writes.map(([key, value]) =>
        value === undefined
          ? { request_delete_range: { key: encode(key) } }
          : { request_put: { key: encode(key), value: encode(value) } },
      );
      return headerOf(await call("/v3/kv/txn", { success }));
    },
    close() {
      for (const agent of Object.values(agents)) agent.destroy();
    },
  };
}

function post(url: URL, body: string, agents: Readonly<Record<string, HttpAgent>>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === "https:" ? requestHttps : requestHttp;
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    const request = send(url, { method: "POST", headers, agent: agents[url.protocol], timeout: answerMsMax });
    request.on("timeout", () => request.destroy(new EtcdError(`no answer within ${answerMsMax} ms`)));
    request.on("error", reject);
    request.on("response", (response) => readAnswer(response).then(resolve, reject));
    request.end(body);
  });
}

async function readAnswer(response: IncomingMessage): Promise<Answer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > answerBytesMax) throw new EtcdError(`an answer of more than ${answerBytesMax} bytes`);
    parts.push(part);
  }
  const text = Buffer.concat(parts).toString();
  if (response.statusCode !== 200) throw new EtcdError(`status ${response.statusCode}: ${text.slice(0, 500)}`);
  try {
    return JSON.parse(text) as Answer; // etcd's documented answer
  } catch {
    throw new EtcdError(`not JSON: ${text.slice(0, 200)}`);
  }
}
