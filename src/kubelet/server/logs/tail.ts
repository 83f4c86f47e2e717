/** Where the last lines of a file start, found from its end. */
import type { FileHandle } from "node:fs/promises";

const blockBytes = 64 * 1024;
const newLine = 0x0a;

/** Offset of the last `lines` complete lines; a rest without a line break is not counted. Upstream counts entries the same way. */
export async function tailOffset(file: Pick<FileHandle, "read">, { size, lines }: { size: number; lines: number }) {
  const block = Buffer.allocUnsafe(Math.min(blockBytes, size));
  let left = lines;
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - blockBytes);
    const { bytesRead } = await file.read(block, 0, end - start, start);
    // The break that ends a line belongs to it: the one before starts the first of the last lines.
    for (let at = bytesRead - 1; at >= 0; at--) {
      at = block.lastIndexOf(newLine, at);
      if (at < 0) break;
      if (left-- === 0) return start + at + 1;
    }
    end = start;
  }
  return 0;
}
