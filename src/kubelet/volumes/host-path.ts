/** hostPath: a path of the machine, checked to be (or made) what the pod says it is. */
import { lstat, mkdir, open, stat } from "node:fs/promises";

/** Rejects with the text of the FailedMount event. */
export async function checkHostPath(path: string, type: string | undefined): Promise<void> {
  const fail = (what: string) => new Error(`hostPath type check failed: ${path} is not a ${what}`);
  const about = await stat(path).catch(() => undefined);
  switch (type ?? "") {
    case "":
      return;
    case "DirectoryOrCreate":
      if (!about) await mkdir(path, { recursive: true, mode: 0o755 }).catch(goError);
      else if (!about.isDirectory()) throw fail("directory");
      return;
    case "Directory":
      if (!about?.isDirectory()) throw fail("directory");
      return;
    case "FileOrCreate":
      if (!about) await (await open(path, "a", 0o644).catch(goError)).close();
      else if (!about.isFile()) throw fail("file");
      return;
    case "File":
      if (!about?.isFile()) throw fail("file");
      return;
    case "Socket":
      if (!(await lstat(path).catch(() => undefined))?.isSocket()) throw fail("socket file");
      return;
    case "CharDevice":
      if (!about?.isCharacterDevice()) throw fail("character device");
      return;
    case "BlockDevice":
      if (!about?.isBlockDevice()) throw fail("block device");
      return;
    default:
      throw new Error(`${type} is an invalid volume type`);
  }
}

/** As Go prints what the system refuses: `open /x/y: no such file or directory`. */
function goError({ syscall, path, message }: NodeJS.ErrnoException): never {
  const [, why] = /^\w+: ([^,]*)/.exec(message) ?? [];
  throw new Error(`${syscall} ${path}: ${why ?? message}`);
}
