/** What the API server serves by asking someone else: logs, commands and ports from kubelets, proxies to pods, services and nodes. */
import type { Clock, Logger } from "#base";
import type { Answer } from "../answer.ts";
import { admitConnect } from "../registry/admit-create.ts";
import type { Call } from "../registry/call.ts";
import type { RegistryCore } from "../registry/core.ts";
import type { CallHandler } from "../registry/registry.ts";
import { createHttpProxy } from "./http-proxy.ts";
import type { KubeletConnector } from "./kubelet-connector.ts";
import { podLog } from "./pod-log.ts";
import { podStream } from "./pod-stream.ts";
import { nodeTarget, podTarget, type ProxyTarget, serviceTarget } from "./proxy-target.ts";

export interface StreamingOptions {
  readonly kubelets: KubeletConnector;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Streaming {
  /** By `group/resource/subresource/verb`, for the registry. */
  readonly handlers: ReadonlyMap<string, CallHandler>;
  close(): void;
}

export function createStreaming(options: StreamingOptions): Streaming {
  const { kubelets } = options;
  const http = createHttpProxy(kubelets);
  const proxy =
    (find: (call: Call, core: RegistryCore) => Promise<ProxyTarget>): CallHandler =>
    async (call, core): Promise<Answer> => {
      const { kind } = call.resource;
      const { rest } = call.target;
      await admitConnect(core, call, { kind: `${kind}ProxyOptions`, apiVersion: "v1", ...(rest && { path: rest }) });
      const target = await find(call, core);
      return {
        type: "stream",
        run: (request, sink, headers) => {
          // A slash at the end is the root of what is behind.
          const path = call.target.rest !== "" || request.path.endsWith("/") ? `/${call.target.rest}` : "";
          return http.pass({ target, path, request, sink, headers });
        },
      };
    };
  return {
    handlers: new Map<string, CallHandler>([
      ["/pods/log/get", podLog(kubelets)],
      ["/pods/exec/*", podStream("exec", options)],
      ["/pods/attach/*", podStream("attach", options)],
      ["/pods/portforward/*", podStream("portforward", options)],
      ["/pods/proxy/*", proxy(podTarget)],
      ["/services/proxy/*", proxy(serviceTarget)],
      ["/nodes/proxy/*", proxy((call, core) => nodeTarget(call, core, kubelets))],
    ]),
    close() {
      http.close();
      kubelets.close();
    },
  };
}
