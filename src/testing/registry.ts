/** A real registry (Debian's docker-registry) on an address of this machine, and a way to put images there without a container engine. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";

export interface RegistryOptions {
  /** For its configuration. */
  readonly folder: string;
  /** Where images are kept; registries of one folder show the same ones. */
  readonly storage: string;
  /** `127.0.0.1:5000`. */
  readonly address: string;
  /** Asks for `registryUser`. */
  readonly withLogin?: boolean;
  readonly tls?: { readonly certificate: string; readonly key: string };
}

export interface Registry {
  readonly address: string;
  close(): Promise<void>;
}

export const registryUser = { username: "reader", password: "secret" } as const;
/** bcrypt of that password. */
const passwordFile = "reader:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

export function whyNoRegistry(): string | undefined {
  try {
    execFileSync("sh", ["-c", "command -v docker-registry"], { stdio: "pipe" });
    return undefined;
  } catch {
    return "needs docker-registry";
  }
}

/** Resolves when it takes connections. */
export async function startRegistry(options: RegistryOptions): Promise<Registry> {
  const { folder, storage, address, withLogin, tls } = options;
  await mkdir(folder, { recursive: true });
  const passwords = join(folder, "htpasswd");
  await writeFile(passwords, passwordFile);
  const config = {
    version: 0.1,
    log: { level: "error", accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: storage } },
    http: { addr: address, ...(tls && { tls }) },
    ...(withLogin && { auth: { htpasswd: { realm: "test", path: passwords } } }),
  };
  const file = join(folder, `${address.replace(":", "-")}.yml`);
  await writeFile(file, JSON.stringify(config));
  const child: ChildProcess = spawn("docker-registry", ["serve", file], { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (said += text));
  const ended = once(child, "exit");
  let hasEnded = false;
  ended.then(
    () => (hasEnded = true),
    () => (hasEnded = true),
  );
  while (!(await takesConnections(address))) if (hasEnded) throw new Error(`docker-registry ended:\n${said}`);
  return {
    address,
    async close() {
      if (hasEnded) return;
      child.kill("SIGKILL");
      await ended;
    },
  };
}

async function takesConnections(address: string): Promise<boolean> {
  const [host = "", port = ""] = address.split(":");
  const socket = connect(Number(port), host);
  try {
    await once(socket, "connect");
    return true;
  } catch {
    // Not yet: a moment until the next try.
    await new Promise((resolve) => setTimeout(resolve, 20));
    return false;
  } finally {
    socket.destroy();
  }
}

/** Puts an archive (an OCI layout, as `packImage` makes it) under this name, `demo/app:1`. Answers the digest of its manifest. */
export async function pushImage(url: string, name: string, archive: Buffer): Promise<string> {
  const [repository = "", tag = ""] = name.split(":");
  const files = readTar(archive);
  const index = JSON.parse(files.get("index.json")?.toString() ?? "{}") as { manifests: Descriptor[] };
  const [manifest] = index.manifests;
  const bytes = manifest && blob(files, manifest);
  if (!bytes) throw new Error("the archive has no manifest");
  const { config, layers } = JSON.parse(bytes.toString()) as { config: Descriptor; layers: Descriptor[] };
  for (const one of [config, ...layers]) {
    const begun = await send(`${url}/v2/${repository}/blobs/uploads/`, { method: "POST" });
    const place = new URL(begun.headers.get("location") ?? "", url);
    place.searchParams.set("digest", one.digest);
    await send(place, { method: "PUT", body: new Uint8Array(blob(files, one)) });
  }
  const headers = { "content-type": manifest.mediaType };
  await send(`${url}/v2/${repository}/manifests/${tag}`, { method: "PUT", body: new Uint8Array(bytes), headers });
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
}

const blob = (files: ReadonlyMap<string, Buffer>, { digest }: Descriptor): Buffer =>
  files.get(`blobs/${digest.replace(":", "/")}`) ?? Buffer.alloc(0);

async function send(url: string | URL, request: RequestInit): Promise<Response> {
  const response = await fetch(url, request);
  if (!response.ok) throw new Error(`${request.method} ${url}: ${response.status} ${await response.text()}`);
  return response;
}

/** Files of an archive with short names. */
function readTar(archive: Buffer): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  for (let at = 0; at + 512 <= archive.length; ) {
    const field = (from: number, length: number) =>
      archive.toString("utf8", at + from, at + from + length).replace(/\0.*$/s, "");
    const name = field(0, 100);
    const size = Number.parseInt(field(124, 12), 8) || 0;
    if (name) files.set(name, archive.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}
