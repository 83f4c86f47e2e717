/** `/statusz`, `/flagz` and `/debug/…` of the node's server: the pages that all parts have, loaded when somebody looks. */
import type { ComponentPages } from "#apiserver";
import type { Logger } from "#base";
import { type Exchange, sendText } from "#kubelet";
import { kubernetesVersion } from "./version.ts";

export interface NodePagesOptions {
  flags(): Readonly<Record<string, string>>;
  readonly log: Logger;
}

/** As the original lists them. */
const paths = [
  "/configz",
  "/debug/flags/v",
  "/healthz",
  "/healthz/device-plugin",
  "/healthz/log",
  "/healthz/ping",
  "/healthz/syncloop",
  "/metrics",
  "/metrics/cadvisor",
  "/metrics/probes",
  "/metrics/resource",
  "/metrics/slis",
];

export function createNodePages({ flags, log }: NodePagesOptions): (exchange: Exchange) => Promise<void> {
  let made: Promise<ComponentPages> | undefined;
  const make = async () => {
    const { createComponentPages } = await import("#apiserver");
    const version = kubernetesVersion.slice(1).split(".", 2).join(".");
    return createComponentPages({ name: "kubelet", version, flags: flags(), paths, log });
  };
  return async (exchange) => {
    made ??= make();
    const { request, response, path, parts, signal } = exchange;
    const { method = "GET", url = "" } = request;
    const query = url.includes("?") ? url.slice(url.indexOf("?") + 1) : "";
    const body = async (bytesMax: number): Promise<Buffer> => {
      const chunks: Buffer[] = [];
      for await (const chunk of request as AsyncIterable<Buffer>) {
        chunks.push(chunk);
        if (chunks.reduce((sum, { length }) => sum + length, 0) > bytesMax) break;
      }
      return Buffer.concat(chunks).subarray(0, bytesMax);
    };
    const answer = await (await made)({ method, path, parts, query, signal, body, accept: request.headers.accept });
    if (!answer) return sendText(exchange, 404, "404 page not found\n", { "x-content-type-options": "nosniff" });
    response.writeHead(answer.status, { ...answer.headers, "content-length": Buffer.byteLength(answer.body) });
    response.end(answer.body);
  };
}
