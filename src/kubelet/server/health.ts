/** `/healthz`, with the names of upstream's checks. */
import { type Exchange, sendText } from "./exchange.ts";

const checks = ["ping", "log", "syncloop"];

export function serveHealth(exchange: Exchange): void {
  const [status, text] = healthOf(exchange);
  sendText(exchange, status, text);
}

function healthOf({ parts: [, check, ...more], query }: Exchange): [status: number, text: string] {
  if (more.length > 0 || (check !== undefined && !checks.includes(check))) return [404, "404 page not found\n"];
  if (check !== undefined || !query.has("verbose")) return [200, "ok"];
  return [200, `${checks.map((name) => `[+]${name} ok\n`).join("")}healthz check passed\n`];
}
