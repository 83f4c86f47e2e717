/** Pages about a process for a server that isn't ours: `/statusz`, `/flagz`, profiles and the log level, as plain requests and answers. */
import type { Logger } from "#base";
import { isStatusError } from "#machinery";
import { debugHandler } from "../debug/debug-handler.ts";
import { statusPages } from "../debug/status-pages.ts";
import type { ResponseHeaders, ResponseSink, ServerRequest } from "../http/exchange.ts";
import type { PathHandler } from "../paths.ts";
import { Query } from "../query.ts";
import { everyone } from "../security/groups.ts";

export interface ComponentPagesOptions {
  /** `kubelet` */
  readonly name: string;
  /** `1.36` */
  readonly version: string;
  readonly flags: Readonly<Record<string, string>>;
  /** Other pages worth a look. */
  readonly paths: readonly string[];
  readonly log: Logger;
}

export interface PageRequest extends Pick<ServerRequest, "method" | "path" | "query" | "signal" | "body"> {
  readonly parts: readonly string[];
  readonly accept?: string | undefined;
}

export interface PageAnswer {
  readonly status: number;
  readonly headers: ResponseHeaders;
  readonly body: Uint8Array | string;
}

/** Undefined: there is no such page. */
export type ComponentPages = (request: PageRequest) => Promise<PageAnswer | undefined>;

export function createComponentPages({ name, version, flags, paths, log }: ComponentPagesOptions): ComponentPages {
  const handlers = new Map<string, PathHandler>([
    ["debug", debugHandler({ profiling: true, log })],
    ...statusPages({ component: name, version, flags, paths: () => paths }),
  ]);
  const user = { name: everyone.anonymous, uid: "", groups: [], extra: {} };
  return async (request) => {
    const { method, path, parts, accept } = request;
    try {
      const about = { method, path, parts, query: new Query(request.query), user, accept, etag: undefined, host: "" };
      const answer = await handlers.get(parts[0] ?? "")?.(about);
      if (answer?.type === "raw") return { status: answer.status, headers: answer.headers, body: answer.body };
      if (answer?.type !== "stream") return undefined;
      return await new Promise<PageAnswer>((resolve, reject) => {
        const respond: ResponseSink["respond"] = (status, headers, body) => resolve({ status, headers, body });
        // Pages read a body and give one answer.
        answer.run(request as unknown as ServerRequest, { respond } as ResponseSink, {})?.catch(reject);
      });
    } catch (error) {
      if (!isStatusError(error)) throw error;
      const { status } = error;
      const headers = { "content-type": "application/json" };
      return { status: status.code ?? 500, headers, body: `${JSON.stringify(status)}\n` };
    }
  };
}
