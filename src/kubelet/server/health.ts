/** `/healthz` and what is below it, with the names of upstream's checks: who can answer is well, since everything here follows events. */
import { type Exchange, sendText } from "./exchange.ts";

const checks = ["ping", "log", "syncloop", "device-plugin"];
const nosniff = { "x-content-type-options": "nosniff" };

export const healthRoutes: ReadonlyMap<string, (exchange: Exchange) => void> = new Map([
  ["/healthz", serveHealth],
  ...checks.map((name): [string, (exchange: Exchange) => void] => [
    `/healthz/${name}`,
    (exchange) => sendText(exchange, 200, "ok"),
  ]),
]);

function serveHealth(exchange: Exchange): void {
  const { query } = exchange;
  const excluded = new Set(query.getAll("exclude"));
  const unknown = [...excluded].filter((name) => !checks.includes(name));
  if (!query.has("verbose")) {
    sendText(exchange, 200, "ok", nosniff);
    return;
  }
  const lines = checks.map((name) => (excluded.has(name) ? `[+]${name} excluded: ok\n` : `[+]${name} ok\n`));
  if (unknown.length > 0)
    lines.push(
      `warn: some health checks cannot be excluded: no matches for ${unknown.map((name) => JSON.stringify(name)).join(",")}\n`,
    );
  sendText(exchange, 200, `${lines.join("")}healthz check passed\n`, nosniff);
}
