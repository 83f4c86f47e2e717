/** Runs `nft -f -`: one process a transaction, all of it or nothing. */
import { spawn } from "node:child_process";

export type ApplyScript = (script: string) => Promise<void>;

export class NftError extends Error {
  override name = "NftError";
}

/** Of nft's complaints only the beginning is kept: it repeats the offending line for each rule. */
const complaintCharactersMax = 2000;

/** `options`: `-c` only tries. */
export function createNft(program = "nft", options: readonly string[] = []): ApplyScript {
  return (script) =>
    new Promise((resolve, reject) => {
      const child = spawn(program, [...options, "-f", "-"], { stdio: ["pipe", "ignore", "pipe"] });
      let complaint = "";
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        if (complaint.length < complaintCharactersMax) complaint += text;
      });
      child.on("error", (error) => reject(new NftError(`cannot run ${program}: ${error.message}`)));
      child.on("close", (code) => {
        if (code === 0) resolve();
        else
          reject(
            new NftError(
              `${program} refused a transaction (exit code ${code}): ${complaint.slice(0, complaintCharactersMax)}`,
            ),
          );
      });
      child.stdin.on("error", () => undefined); // the exit code tells why it stopped reading
      child.stdin.end(script);
    });
}
