/** One request to the node's server: is there such a path, who asks, may they, what is the answer. */
import type { Logger } from "#base";
import { accessOf, type KubeletAuth } from "./auth.ts";
import { type Exchange, sendPlainError, sendText } from "./exchange.ts";
import type { RouteTable, ServiceRoute } from "./routes.ts";

export interface ServeContext {
  readonly table: RouteTable;
  /** Undefined: everybody may read what there is. */
  readonly auth: KubeletAuth | undefined;
  readonly log: Logger;
}

export async function serveExchange(exchange: Exchange, { table, auth, log }: ServeContext): Promise<void> {
  const { path, parts, request } = exchange;
  const exact = table.exact.get(path);
  const [name = "", service] = exact ? [] : serviceOf(table, parts);
  if (!exact && !service) return sendPlainError(exchange, 404, "404 page not found");
  // Its slash comes before anybody is asked who they are.
  if (service?.endsInSlash && path === `/${name}`) return redirect(exchange, `${path}/`);
  if (auth && !(await isAllowed(exchange, auth, log))) return;
  if (exact) return exact(exchange);
  if (!service) return;
  if (parts.length < service.parts[0] || parts.length > service.parts[1])
    return sendText(exchange, 404, "404: Page Not Found");
  const { methods } = service;
  if (methods.length > 0 && !methods.includes(request.method ?? "GET"))
    return sendText(exchange, 405, "405: Method Not Allowed", { allow: methods.join(", ") });
  await service.serve(exchange);
}

function serviceOf({ services }: RouteTable, [first = "", second = ""]: readonly string[]): [string, ServiceRoute?] {
  const one = services.get(first);
  return one ? [first, one] : [`${first}/${second}`, services.get(`${first}/${second}`)];
}

/** False: the answer is given. */
async function isAllowed(exchange: Exchange, auth: KubeletAuth, log: Logger): Promise<boolean> {
  const { request, parts } = exchange;
  const user = await auth.authenticate(request).catch((error: unknown) => {
    log.warn("a caller's token could not be checked", { error });
    return undefined;
  });
  if (!user) {
    sendText(exchange, 401, "Unauthorized");
    return false;
  }
  const { verb, subresources } = accessOf(request.method ?? "GET", parts);
  const about = `user=${user.name}, verb=${verb}, resource=nodes`;
  for (const subresource of subresources)
    try {
      if (await auth.authorize(user, { verb, subresource })) return true;
    } catch (error) {
      log.warn("nobody says what a caller may do", { user: user.name, error });
      sendText(exchange, 500, `Authorization error (${about}, subresource=${subresource})`);
      return false;
    }
  sendText(exchange, 403, `Forbidden (${about}, subresource(s)=[${subresources.join(" ")}])\n`);
  return false;
}

function redirect({ request, response }: Exchange, location: string): void {
  const { url = "" } = request;
  const target = location + (url.includes("?") ? url.slice(url.indexOf("?")) : "");
  const text = request.method === "GET" ? `<a href="${target}">Temporary Redirect</a>.\n\n` : "";
  const type = text && { "content-type": "text/html; charset=utf-8" };
  response.writeHead(307, { location: target, "content-length": Buffer.byteLength(text), ...type });
  response.end(text);
}
