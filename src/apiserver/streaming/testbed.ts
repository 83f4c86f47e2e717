/** An API server with a fake kubelet behind it, pods on its node, and the ways in that clients have. */
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { WebSocket } from "ws";
import { realClock, silentLogger } from "#base";
import type { Attributes } from "../security.ts";
import { startTestServer } from "../test-server.ts";
import { createStreaming } from "./handlers.ts";
import { createKubeletConnector } from "./kubelet-connector.ts";
import { FakeRuntime, startFakeKubelet } from "./testing.ts";

export const pods = "/api/v1/namespaces/default/pods";
const node = "/api/v1/nodes/n1";

export type Testbed = Awaited<ReturnType<typeof startTestbed>>;

/** Pods `one` (c) and `two` (a, b) on the node, `nowhere` on none, `lost` on one that isn't there. */
export async function startTestbed() {
  const kubelet = await startFakeKubelet();
  const kubelets = createKubeletConnector({ ...kubelet.client, authority: kubelet.authority.certificate });
  const streaming = createStreaming({ kubelets, clock: realClock, log: silentLogger });
  let allow = (_attributes: Attributes): boolean => true;
  const api = await startTestServer({
    tls: kubelet.client,
    handlers: streaming.handlers,
    authorizer: { authorize: (attributes) => ({ allowed: allow(attributes), reason: "no reason" }) },
  });
  const { port } = await api.server.listen({ host: "127.0.0.1", port: 0 });
  const merge = { contentType: "application/merge-patch+json" };
  const report = (status: object) => api.call("PATCH", `${node}/status`, { status }, merge);
  await api.call("POST", "/api/v1/nodes", { metadata: { name: "n1" } });
  await report({ addresses: [{ type: "InternalIP", address: "127.0.0.1" }] });
  const kubeletPort = (number: number) => report({ daemonEndpoints: { kubeletEndpoint: { Port: number } } });
  await kubeletPort(kubelet.port);
  await api.call("POST", "/api/v1/namespaces/default/serviceaccounts", { metadata: { name: "default" } });
  const createPod = async (name: string, containers: readonly string[], nodeName?: string) => {
    const spec = { containers: containers.map((each) => ({ name: each, image: "x" })), ...(nodeName && { nodeName }) };
    await api.call("POST", pods, { metadata: { name }, spec });
  };
  await createPod("one", ["c"], "n1");
  await createPod("two", ["a", "b"], "n1");
  await createPod("nowhere", ["c"]);
  await createPod("lost", ["c"], "none");

  const options = (path: string, more: object = {}) => ({
    host: "127.0.0.1",
    port,
    path,
    agent: false as const,
    rejectUnauthorized: false,
    headers: { authorization: "Bearer admin" },
    ...more,
  });
  return {
    kubelet,
    port,
    options,
    /** Where the node says its kubelet listens. */
    kubeletPort,
    /** Who may what, until `reset`. */
    allow(next: typeof allow) {
      allow = next;
    },
    /** An answer, as text and with its Status if it has one. */
    async ask(path: string, more: object = {}) {
      const request = httpsRequest(options(path, more));
      request.end();
      const [response] = (await once(request, "response")) as [IncomingMessage];
      const text = await textOf(response);
      return { status: response.statusCode, headers: response.headers, text, message: messageOf(text) };
    },
    open: (path: string, protocols: string[]): WebSocket =>
      new WebSocket(`wss://127.0.0.1:${port}${path}`, protocols, {
        rejectUnauthorized: false,
        headers: { authorization: "Bearer admin" },
      }),
    /** The runtime that the next upgrade of the kubelet leads to. */
    nextRuntime: (protocol?: string): Promise<FakeRuntime> =>
      new Promise((resolve) => {
        kubelet.upgrade = (_request, socket, head) =>
          resolve(new FakeRuntime(socket, { head, ...(protocol && { protocol }) }));
      }),
    reset() {
      allow = () => true;
      kubelet.requests.length = 0;
    },
    async close() {
      await api.close();
      streaming.close();
      await kubelet.close();
    },
  };
}

export async function textOf(stream: AsyncIterable<Buffer>): Promise<string> {
  return Buffer.concat(await Array.fromAsync(stream)).toString();
}

export function messageOf(text: string): string {
  return text.startsWith("{") ? JSON.parse(text).message : "";
}
