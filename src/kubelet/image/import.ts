/**
 * Brings image archives into containerd without a registry, through containerd's own `ctr`. What was imported is pinned: there may be no
 * place to get it from again, so image garbage collection leaves it alone.
 */
import { execFile } from "node:child_process";
import { readFile, rename, writeFile } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
/** containerd keeps CRI's images in this namespace of its own. */
const namespace = "k8s.io";
const outputBytesMax = 4 * 1024 * 1024;

export interface ImageStore {
  /** Socket of the containerd. */
  readonly endpoint: string;
  /** File with the names of pinned images, one a line. */
  readonly pinnedFile: string;
}

/** Answers the names in the archive. */
export async function importImage({ endpoint, pinnedFile }: ImageStore, archive: string): Promise<string[]> {
  const ctr = (...args: string[]) =>
    run("ctr", ["--address", endpoint, "--namespace", namespace, ...args], { maxBuffer: outputBytesMax });
  const { stdout } = await ctr("images", "import", archive).catch((error: { stderr?: string }) => {
    throw new Error(`${archive} could not be imported: ${error.stderr?.trim() || String(error)}`);
  });
  const names = [...stdout.matchAll(/^unpacking (\S+) \(/gm)].map(([, name = ""]) => name);
  // Newer runtimes tell of the label themselves, older ones need the file.
  for (const name of names) await ctr("images", "label", name, "io.cri-containerd.pinned=pinned");
  const pinned = await pinnedImages(pinnedFile);
  const all = new Set([...pinned, ...names]);
  if (all.size > pinned.size) {
    await writeFile(`${pinnedFile}.tmp`, `${[...all].join("\n")}\n`);
    await rename(`${pinnedFile}.tmp`, pinnedFile);
  }
  return names;
}

export async function pinnedImages(pinnedFile: string): Promise<ReadonlySet<string>> {
  const text = await readFile(pinnedFile, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  return new Set(text.split("\n").filter(Boolean));
}
