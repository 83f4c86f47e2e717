/** The token file of `--token-auth-file`: CSV lines `token,user,uid,"group1,group2"`, as kube-apiserver reads it. */
import type { RequestUser } from "#api";

/** Throws with the line's number when a line is malformed. Of two lines with one token the last counts. */
export function parseTokenFile(text: string): ReadonlyMap<string, RequestUser> {
  const users = new Map<string, RequestUser>();
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === "") continue;
    const [token = "", name = "", uid, groups = ""] = splitCsv(line);
    if (uid === undefined)
      throw new Error(
        `token file, line ${index + 1}: want at least 3 columns (token, user name, uid), have ${splitCsv(line).length}`,
      );
    if (token === "") continue; // upstream warns and goes on: an empty token must never authenticate
    users.set(token, {
      name,
      uid,
      groups: groups
        .split(",")
        .map((group) => group.trim())
        .filter(Boolean),
      extra: {},
    });
  }
  return users;
}

function splitCsv(line: string): string[] {
  const cells: string[] = [];
  for (const match of line.matchAll(/\s*(?:"((?:[^"]|"")*)"|([^,]*))\s*(?:,|$)/g)) {
    if (match.index === line.length && !line.endsWith(",")) break;
    cells.push(match[1]?.replaceAll('""', '"') ?? (match[2] ?? "").trim());
  }
  return cells;
}
