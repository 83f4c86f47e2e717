/** What is done with a request, by its host and path: the one decision behind all kinds of them. */
import type { Pool, Pools } from "./pools.ts";
import type { RouteTable } from "./routes.ts";
import { normalizeHost, normalizePath } from "./target.ts";

export type Decision =
  | { readonly type: "forward"; readonly pool: Pool }
  | { readonly type: "redirect"; readonly location: string }
  | { readonly type: "refuse"; readonly status: number; readonly text: string };

export interface RouterOptions {
  readonly routes: RouteTable;
  readonly pools: Pools;
  /** Of HTTPS, as clients see it; 0: there is none. */
  readonly httpsPort: () => number;
}

export type Router = (request: { authority: string; target: string; isSecure: boolean }) => Decision;

const httpsDefault = 443;

export function createRouter({ routes, pools, httpsPort }: RouterOptions): Router {
  return ({ authority, target, isSecure }) => {
    const host = normalizeHost(authority);
    const path = normalizePath(target);
    if (host === undefined) return { type: "refuse", status: 400, text: "the host of the request is malformed" };
    if (path === undefined) return { type: "refuse", status: 400, text: "the path of the request isn't absolute" };
    const route = routes.match(host, path);
    if (!route) return { type: "refuse", status: 404, text: "no Ingress has a rule for this host and path" };
    const port = httpsPort();
    if (route.redirectsToHttps && !isSecure && port !== 0 && host !== "") {
      return { type: "redirect", location: `https://${host}${port === httpsDefault ? "" : `:${port}`}${target}` };
    }
    const pool = pools.of(route);
    return "problem" in pool ? { type: "refuse", status: 503, text: pool.problem } : { type: "forward", pool };
  };
}
