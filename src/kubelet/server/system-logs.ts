/** `/logs/…`: the machine's own log folder, as a plain file server shows it. */
import { createReadStream } from "node:fs";
import { readdir, realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import { pipeline } from "node:stream/promises";
import { type Exchange, sendPlainError } from "./exchange.ts";

export async function serveSystemLogs(folder: string, exchange: Exchange): Promise<void> {
  const { parts, request, response } = exchange;
  const path = await inside(folder, parts.slice(1));
  if (path === undefined) return sendPlainError(exchange, 404, "404 page not found");
  const about = await stat(path);
  const endsInSlash = (request.url ?? "").split("?")[0]?.endsWith("/") ?? false;
  if (about.isDirectory()) {
    if (!endsInSlash) return redirect(exchange, `${parts.at(-1)}/`);
    return sendListing(exchange, path);
  }
  if (!about.isFile()) return sendPlainError(exchange, 404, "404 page not found");
  response.writeHead(200, { "content-type": "text/plain; charset=utf-8", "content-length": about.size });
  // Logs grow: exactly what was announced.
  if (about.size === 0) return void response.end();
  await pipeline(createReadStream(path, { end: about.size - 1 }), response, { signal: exchange.signal });
}

/** Where a path leads once links are followed; undefined: nowhere, or out of the folder. */
async function inside(folder: string, parts: readonly string[]): Promise<string | undefined> {
  // Decoded parts may hold what a path must not.
  if (parts.some((part) => part === ".." || part.includes("/") || part.includes("\0"))) return undefined;
  try {
    const [root, path] = await Promise.all([realpath(folder), realpath(join(folder, ...parts))]);
    return path === root || path.startsWith(root + sep) ? path : undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException; // from the file system
    if (code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP" || code === "EACCES") return undefined;
    throw error;
  }
}

function redirect(exchange: Exchange, location: string): void {
  exchange.response.writeHead(301, { location, "content-length": 0 });
  exchange.response.end();
}

async function sendListing({ response }: Exchange, path: string): Promise<void> {
  const entries = await readdir(path, { withFileTypes: true });
  const lines = entries
    .map((entry) => entry.name + (entry.isDirectory() ? "/" : ""))
    .sort()
    .map((name) => `<a href="${encodeURI(name)}">${escapeHtml(name)}</a>\n`);
  const text = `<!doctype html>\n<meta name="viewport" content="width=device-width">\n<pre>\n${lines.join("")}</pre>\n`;
  response.writeHead(200, { "content-type": "text/html; charset=utf-8", "content-length": Buffer.byteLength(text) });
  response.end(text);
}

const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
