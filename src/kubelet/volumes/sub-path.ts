/**
 * subPath: a part of a volume. The volume's content belongs to containers, which may put a symbolic link anywhere at any moment, so the
 * path is walked one open directory at a time without following links, and what was opened is bind-mounted by its descriptor.
 */
import { constants, type Stats } from "node:fs";
import { chmod, type FileHandle, lstat, mkdir, open, realpath, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { bindMount, mountsUnder, unmount } from "./mount-table.ts";

/** Linux's O_PATH, which node has no name for: a descriptor to name a file with, not to read it. */
const openPath = 0o10000000;

/** Which part of it went wrong is told to people, the details aren't: they would show the machine's files. */
export class SubPathError extends Error {
  override name = "SubPathError";
  readonly step: "create" | "prepare";

  constructor(step: "create" | "prepare", cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause));
    this.step = step;
  }
}

/** Mounts `subPath` of the volume at `target`, making directories that aren't there. Rejects with SubPathError, also when it leads out. */
export async function mountSubPath(volume: string, subPath: string, target: string): Promise<void> {
  const isNew = await stat(join(volume, subPath)).then(
    () => false,
    (error: NodeJS.ErrnoException) => error.code === "ENOENT",
  );
  const handle = await openBelow(volume, subPath, { create: true }).catch((error: unknown) => {
    throw new SubPathError(isNew ? "create" : "prepare", error);
  });
  try {
    await mountHandle(handle, target);
  } catch (error) {
    throw new SubPathError("prepare", error);
  } finally {
    await handle.close();
  }
}

async function mountHandle(handle: FileHandle, target: string): Promise<void> {
  const about = await handle.stat();
  if ((await mountsUnder(target)).includes(target)) {
    if (sameFile(about, await lstat(target))) return;
    // What a restarted container had before: its source has another file there now (a ConfigMap changed).
    await unmount(target);
  }
  await mkdir(about.isDirectory() ? target : dirname(target), { recursive: true, mode: 0o750 });
  if (!about.isDirectory()) await writeFile(target, "", { flag: "a", mode: 0o640 });
  await bindMount(`/proc/${process.pid}/fd/${handle.fd}`, target);
}

const sameFile = (a: Stats, b: Stats): boolean => a.dev === b.dev && a.ino === b.ino;

/**
 * A descriptor (O_PATH) of a file of the volume. Links that are there now are followed once, if they stay inside (a ConfigMap's files are
 * links); afterwards none is.
 */
export async function openBelow(
  volume: string,
  subPath: string,
  { create = false }: { create?: boolean } = {},
): Promise<FileHandle> {
  const root = await realpath(volume);
  const resolved = await resolveExisting(join(root, subPath));
  if (resolved !== root && !resolved.startsWith(`${root}/`))
    throw new Error(`subpath ${JSON.stringify(subPath)} not within volume path ${JSON.stringify(volume)}`);
  const names = resolved
    .slice(root.length + 1)
    .split("/")
    .filter(Boolean);
  // As the volume is, so that who may write there may write here.
  const mode = create ? (await stat(root)).mode & 0o7777 : undefined;
  let at = await open(root, openPath | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  for (const name of names) {
    const previous = at;
    try {
      at = await openIn(previous, name, mode);
    } finally {
      await previous.close();
    }
  }
  return at;
}

/** `mode`: of the directory that is made if there is nothing. */
async function openIn(directory: FileHandle, name: string, mode: number | undefined): Promise<FileHandle> {
  const path = `/proc/self/fd/${directory.fd}/${name}`;
  let made = false;
  const handle = await open(path, openPath | constants.O_NOFOLLOW).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT" || mode === undefined) throw error;
    await mkdir(path, { mode });
    made = true;
    return open(path, openPath | constants.O_NOFOLLOW);
  });
  try {
    const about = await handle.stat();
    if (about.isSymbolicLink()) throw new Error(`unexpected symlink found ${JSON.stringify(name)} in subpath`);
    // The umask must not decide who writes. By descriptor: the name may be a link by now.
    if (made && mode !== undefined && about.isDirectory()) await chmod(`/proc/self/fd/${handle.fd}`, mode);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** The real path of what exists, and the rest as it is. */
async function resolveExisting(path: string): Promise<string> {
  const rest: string[] = [];
  for (let at = path; ; at = dirname(at)) {
    try {
      return join(await realpath(at), ...rest);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT" || at === "/") throw error; // file system errors have a code
      rest.unshift(at.slice(at.lastIndexOf("/") + 1));
    }
  }
}
