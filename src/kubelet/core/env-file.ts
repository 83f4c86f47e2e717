/**
 * Files of variables (`valueFrom.fileKeyRef`): a strict subset of what a POSIX shell reads. Values are in single quotes, may have several
 * lines, and mean what they say; upstream's parser.
 */

/** "": the file doesn't set it. Throws when a line up to there is not as it must be. */
export function readEnvFile(text: string, key: string): string {
  const lines = text.split("\n").map((line) => line.replace(/\r$/, ""));
  for (let at = 0; at < lines.length; at++) {
    const fail = (why: string) => new Error(`invalid environment variable format at line ${at + 1}: ${why}`);
    const line = (lines[at] ?? "").replace(/^[ \t]+/, "");
    if (line === "" || line.startsWith("#")) continue;
    const equals = line.indexOf("=");
    if (equals < 0) throw fail("missing '='");
    const name = line.slice(0, equals);
    if (name.trim() === "") throw fail("empty variable name");
    if (/[ \t]$/.test(name)) throw fail("whitespace before '=' is not allowed");
    const value = line.slice(equals + 1);
    if (/^[ \t]/.test(value)) {
      // As in a shell: the value is empty, what follows is something else.
      if (name === key) return "";
      continue;
    }
    if (!value.startsWith("'")) throw fail("value must be enclosed in single quotes");
    const first = at;
    const parts: string[] = [];
    for (let rest = value.slice(1); ; rest = lines[++at] ?? "") {
      const end = rest.indexOf("'");
      if (end >= 0) {
        if (!/^[ \t]*(#|$)/.test(rest.slice(end + 1))) throw fail("unexpected content after closing quote");
        parts.push(rest.slice(0, end));
        break;
      }
      parts.push(rest);
      // The last line of a file that ends with a line break is not one.
      if (at + 1 >= lines.length || (at + 2 === lines.length && lines[at + 1] === ""))
        throw new Error(`invalid environment variable format starting at line ${first + 1}: unclosed single quote`);
    }
    if (name === key) return parts.join("\n");
  }
  return "";
}
