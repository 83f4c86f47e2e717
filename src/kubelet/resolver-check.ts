/** What of the node's resolv.conf won't reach its pods, told as an event of the node. */
import { readFile } from "node:fs/promises";
import { parseResolvConf, searchProblem } from "./core/dns-config.ts";

/** Search domains that pods won't get. */
export async function warnOfSearches(
  file: string,
  clusterDomain: string,
  event: (type: "Warning", reason: string, message: string) => void,
): Promise<void> {
  const problem = await readFile(file, "utf8").then(
    (text) => searchProblem(parseResolvConf(text), { file, clusterDomain }),
    (error: NodeJS.ErrnoException) =>
      `open ${file}: ${error.code === "ENOENT" ? "no such file or directory" : error.message}`,
  );
  if (problem !== undefined) event("Warning", "CheckLimitsForResolvConf", problem);
}
