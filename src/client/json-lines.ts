/**
 * Newline-delimited JSON from a stream of chunks, each byte looked at once: a watch event can be a megabyte in a thousand
 * chunks, and growing one string chunk by chunk would copy it a thousand times.
 */

/** An event larger than this is refused, to protect memory from a server that never ends its line. */
const lineBytesMax = 64 * 1024 * 1024;
const newline = 0x0a;

export function createJsonLines(onValue: (value: unknown) => void): { push(chunk: Buffer): void; end(): void } {
  let parts: Buffer[] = [];
  let bytes = 0;

  const parse = (line: string) => {
    if (line.trim() !== "") onValue(JSON.parse(line));
  };
  return {
    push(chunk) {
      let start = 0;
      for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
        if (parts.length === 0) parse(chunk.toString("utf8", start, end));
        else {
          parts.push(chunk.subarray(start, end));
          const line = Buffer.concat(parts).toString("utf8");
          parts = [];
          bytes = 0;
          parse(line);
        }
        start = end + 1;
      }
      if (start === chunk.length) return;
      parts.push(chunk.subarray(start));
      bytes += chunk.length - start;
      if (bytes > lineBytesMax) throw new Error(`a watch event is larger than ${lineBytesMax} bytes`);
    },
    /** The last line may lack its newline. A line that was cut off is not JSON, and is an error. */
    end() {
      if (parts.length > 0) parse(Buffer.concat(parts).toString("utf8"));
      parts = [];
    },
  };
}
