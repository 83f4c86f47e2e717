/**
 * Writes POSIX ustar archives. Only what images need: directories, files, symbolic links, numeric owners.
 * Everything about an entry is given by the caller, so that the same input always makes the same bytes (and digest).
 */
export interface TarEntry {
  /** Without a leading slash. */
  readonly path: string;
  readonly type: "file" | "directory" | "symlink";
  /** Permission bits. */
  readonly mode: number;
  readonly body?: Uint8Array;
  /** Target of a symbolic link. */
  readonly target?: string;
}

const blockBytes = 512;
const typeFlags = { file: "0", symlink: "2", directory: "5" } as const;

/** The whole archive, with the two empty blocks that end it. */
export function writeTar(entries: readonly TarEntry[]): Buffer {
  const parts: Uint8Array[] = [];
  for (const entry of entries) {
    const body = entry.type === "file" ? (entry.body ?? new Uint8Array()) : new Uint8Array();
    parts.push(header(entry, body.length), body);
    const rest = body.length % blockBytes;
    if (rest > 0) parts.push(new Uint8Array(blockBytes - rest));
  }
  parts.push(new Uint8Array(2 * blockBytes));
  return Buffer.concat(parts);
}

function header(entry: TarEntry, size: number): Buffer {
  const block = Buffer.alloc(blockBytes);
  const { prefix, name } = splitPath(entry.type === "directory" ? `${entry.path}/` : entry.path);
  const octal = (value: number, at: number, length: number) =>
    block.write(`${value.toString(8).padStart(length - 1, "0")}\0`, at, "latin1");
  block.write(name, 0);
  octal(entry.mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(0, 136, 12);
  block.write(" ".repeat(8), 148);
  block.write(typeFlags[entry.type], 156);
  block.write(entry.target ?? "", 157);
  block.write("ustar\x0000", 257, "latin1");
  block.write(prefix, 345);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

/** ustar keeps long paths in two fields that are joined with a slash. */
function splitPath(path: string): { prefix: string; name: string } {
  if (Buffer.byteLength(path) <= 100) return { prefix: "", name: path };
  for (let at = path.indexOf("/"); at > 0; at = path.indexOf("/", at + 1)) {
    const prefix = path.slice(0, at);
    const name = path.slice(at + 1);
    if (name && Buffer.byteLength(prefix) <= 155 && Buffer.byteLength(name) <= 100) return { prefix, name };
  }
  throw new Error(`path too long for a tar archive: ${path}`);
}
