/**
 * Files that change all at once. A volume directory holds symbolic links to `..data/<name>`; `..data` is a link to a directory with the
 * files; an update writes a new directory and renames one link. Programs in containers see the old set or the new one, never a mix.
 * The layout is upstream's, because programs watch for `..data`.
 */
import {
  chmod,
  chown,
  lchown,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  unlink,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";

export interface PayloadFile {
  readonly bytes: Uint8Array;
  readonly mode: number;
  /** Owner of a token for pods that run as one user. */
  readonly uid?: number;
}

/** Files by relative path; paths may have directories but never `..`. */
export type Payload = ReadonlyMap<string, PayloadFile>;

const dataLink = "..data";

/** Answers whether anything changed. `own`: gives the files to whom they belong, before anybody sees them. */
export async function writePayload(
  directory: string,
  payload: Payload,
  own: () => Promise<void> = async () => undefined,
): Promise<boolean> {
  const link = join(directory, dataLink);
  const current = await readlink(link).catch(orMissing);
  if (current !== undefined && (await sameFiles(join(directory, current), payload))) return false;

  const next = join(directory, `${stamp(Date.now())}.${Math.floor(Math.random() * 2 ** 32)}`);
  await mkdir(next);
  await chmod(next, 0o755);
  for (const [path, { bytes, mode, uid }] of payload) {
    const file = join(next, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, bytes, { mode });
    // The umask must not decide who reads.
    await chmod(file, mode);
    if (uid !== undefined) await chown(file, uid, -1);
  }
  await own();
  await swapLink(directory, next.slice(directory.length + 1));

  const visible = new Map([...payload].map(([path, { uid }]) => [path.split("/")[0] ?? path, uid]));
  const present = await readdir(directory);
  for (const [name, uid] of visible) {
    if (present.includes(name)) continue;
    await symlink(join(dataLink, name), join(directory, name));
    if (uid !== undefined) await lchown(join(directory, name), uid, -1);
  }
  for (const name of present) {
    const path = join(directory, name);
    const stale = name.startsWith("..")
      ? name !== dataLink && path !== next
      : // A directory is a mount point for another volume, not ours to remove.
        !visible.has(name) && (await lstat(path)).isSymbolicLink();
    if (stale) await rm(path, { recursive: true, force: true });
  }
  return true;
}

async function swapLink(directory: string, target: string): Promise<void> {
  const temporary = join(directory, "..data_tmp");
  await unlink(temporary).catch(orMissing);
  await symlink(target, temporary);
  await rename(temporary, join(directory, dataLink));
}

/** `..2026_01_31_12_00_00`: what upstream calls its directories. */
const stamp = (now: number): string => `..${new Date(now).toISOString().slice(0, 19).replace(/[-T:]/g, "_")}`;

async function sameFiles(directory: string, payload: Payload): Promise<boolean> {
  const existing = await readdir(directory, { recursive: true }).catch(orMissing);
  if (!existing) return false;
  let files = 0;
  for (const path of existing) {
    if ((await lstat(join(directory, path))).isDirectory()) continue;
    files++;
    const wanted = payload.get(path);
    if (!wanted) return false;
    const [bytes, about] = await Promise.all([readFile(join(directory, path)), stat(join(directory, path))]);
    // Ownership for a group widens modes after writing; what was asked for must still be in them.
    if (!bytes.equals(wanted.bytes) || (about.mode & wanted.mode) !== wanted.mode) return false;
  }
  return files === payload.size;
}

/** For paths that need not be there. */
function orMissing(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined; // file system errors have a code
  throw error;
}
