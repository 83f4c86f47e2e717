/**
 * Packs files of this machine into a container image, without a container engine: one uncompressed layer, in an archive that is
 * both an OCI image layout and a `docker save` archive, so that containerd, CRI-O, podman and docker all load it.
 * A dynamically linked program brings its loader and libraries along (found with the machine's own `ldd`).
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import { join, relative } from "node:path";
import { arch } from "node:process";
import { promisify } from "node:util";
import { type TarEntry, writeTar } from "./tar.ts";

export interface PackedFile {
  /** Where the bytes come from; a folder with all that is in it. */
  readonly host: string;
  /** Absolute path inside the image. */
  readonly path: string;
  /** Permission bits; those of the host file when missing. */
  readonly mode?: number;
}

export interface PackOptions {
  /** `demo/busybox:1`, `sampan.local/pause:1`. */
  readonly name: string;
  readonly files: readonly PackedFile[];
  /** When neither this nor `cmd` is given: the shell if one is packed, else the first file. */
  readonly entrypoint?: readonly string[];
  readonly cmd?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly user?: string;
  readonly workingDir?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

const architectures: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64", arm: "arm", s390x: "s390x" };
const run = promisify(execFile);

/** The image as the bytes of a tar archive. */
export async function packImage(options: PackOptions): Promise<Buffer> {
  const layer = writeTar(await layerEntries(options.files));
  const diffId = digest(layer);
  const config = Buffer.from(JSON.stringify(imageConfig(options, diffId)));
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      config: descriptor("application/vnd.oci.image.config.v1+json", config),
      layers: [descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
    }),
  );
  const fullName = normalName(options.name);
  const index = {
    schemaVersion: 2,
    manifests: [
      {
        ...descriptor("application/vnd.oci.image.manifest.v1+json", manifest),
        annotations: {
          "io.containerd.image.name": fullName,
          "org.opencontainers.image.ref.name": fullName.slice(fullName.lastIndexOf(":") + 1),
        },
      },
    ],
  };
  const blobPath = (bytes: Uint8Array) => `blobs/sha256/${digest(bytes).slice("sha256:".length)}`;
  const file = (path: string, body: Uint8Array): TarEntry => ({ path, type: "file", mode: 0o644, body });
  const json = (path: string, value: unknown) => file(path, Buffer.from(JSON.stringify(value)));
  return writeTar([
    json("oci-layout", { imageLayoutVersion: "1.0.0" }),
    json("index.json", index),
    json("manifest.json", [{ Config: blobPath(config), RepoTags: [fullName], Layers: [blobPath(layer)] }]),
    file(blobPath(config), config),
    file(blobPath(layer), layer),
    file(blobPath(manifest), manifest),
  ]);
}

/** `busybox` is `docker.io/library/busybox:latest`, as every container runtime reads it. */
export function normalName(name: string): string {
  const slash = name.indexOf("/");
  const first = slash < 0 ? "" : name.slice(0, slash);
  const hasDomain = /[.:]/.test(first) || first === "localhost";
  const full = hasDomain ? name : `docker.io/${slash < 0 ? `library/${name}` : name}`;
  return /[:@][^/]*$/.test(full) ? full : `${full}:latest`;
}

function imageConfig({ files, cmd, env, user, workingDir, labels, ...rest }: PackOptions, diffId: string) {
  const program = files.find(({ path }) => path === "/bin/sh") ?? files[0];
  const entrypoint = rest.entrypoint ?? (cmd || !program ? undefined : [program.path]);
  const variables = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", ...env };
  return {
    architecture: architectures[arch] ?? arch,
    os: "linux",
    config: {
      Env: Object.entries(variables).map(([key, value]) => `${key}=${value}`),
      ...(entrypoint ? { Entrypoint: entrypoint } : {}),
      ...(cmd ? { Cmd: cmd } : {}),
      ...(user ? { User: user } : {}),
      ...(workingDir ? { WorkingDir: workingDir } : {}),
      ...(labels ? { Labels: labels } : {}),
    },
    rootfs: { type: "layers", diff_ids: [diffId] },
  };
}

const digest = (bytes: Uint8Array) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
const descriptor = (mediaType: string, bytes: Uint8Array) => ({ mediaType, digest: digest(bytes), size: bytes.length });

async function layerEntries(files: readonly PackedFile[]): Promise<TarEntry[]> {
  const all = new Map<string, PackedFile>();
  for (const file of (await Promise.all(files.map(filesIn))).flat()) all.set(file.path, file);
  for (const library of new Set((await Promise.all([...all.values()].map(({ host }) => librariesOf(host)))).flat()))
    if (!all.has(library)) all.set(library, { host: library, path: library });
  const directories = new Set<string>();
  const entries: TarEntry[] = [];
  for (const { host, path, mode } of [...all.values()].sort((a, b) => (a.path < b.path ? -1 : 1))) {
    const clean = path.replace(/^\/+/, "");
    const segments = clean.split("/");
    for (let depth = 1; depth < segments.length; depth++) {
      const directory = segments.slice(0, depth).join("/");
      if (directories.has(directory)) continue;
      directories.add(directory);
      entries.push({ path: directory, type: "directory", mode: 0o755 });
    }
    const [body, about] = await Promise.all([readFile(host), stat(host)]);
    entries.push({ path: clean, type: "file", mode: mode ?? about.mode & 0o7777, body });
  }
  // A place to write for programs that expect one.
  if (!directories.has("tmp")) entries.push({ path: "tmp", type: "directory", mode: 0o1777 });
  return entries;
}

/** A folder stands for the files in it and below. */
async function filesIn(file: PackedFile): Promise<PackedFile[]> {
  if (!(await stat(file.host)).isDirectory()) return [file];
  const inside = (await readdir(file.host, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  return inside.map((entry) => {
    const host = join(entry.parentPath, entry.name);
    return { host, path: join(file.path, relative(file.host, host)) };
  });
}

/** Paths of the loader and libraries that an ELF program loads; none for static programs and other files. */
async function librariesOf(path: string): Promise<string[]> {
  const bytes = await readFile(path);
  if (!bytes.subarray(0, 4).equals(Buffer.from("\x7fELF", "latin1"))) return [];
  const { stdout } = await run("ldd", [path]).catch((error: { stdout?: string; stderr?: string }) => {
    // ldd fails for static programs: that is an answer, not an error.
    const said = `${error.stdout ?? ""}${error.stderr ?? ""}`;
    if (/not a dynamic executable|statically linked/.test(said)) return { stdout: "" };
    throw new Error(`ldd ${path} failed: ${said || String(error)}`);
  });
  return stdout
    .split("\n")
    .flatMap((line) => /(?:=>\s*|^\s*)(\/\S+)\s+\(0x/.exec(line)?.[1] ?? [])
    .filter((library) => library.startsWith("/"));
}
