/** iproute2: one process for any number of changes, and its documented JSON for looking. */
import { execFile, spawn } from "node:child_process";
import { promisify } from "node:util";
import { NetworkError } from "./network-error.ts";

export interface AddressInfo {
  readonly family: "inet" | "inet6";
  readonly local: string;
  readonly prefixlen: number;
  readonly scope: string;
}

/** `ip address show`. */
export interface Link {
  readonly ifname: string;
  readonly ifalias?: string;
  readonly master?: string;
  readonly mtu: number;
  readonly flags: readonly string[];
  readonly addr_info: readonly AddressInfo[];
}

/** `ip route show` and `ip route get`. */
export interface Route {
  readonly type?: string;
  readonly dst: string;
  readonly gateway?: string;
  readonly via?: { readonly host: string };
  readonly dev?: string;
  readonly prefsrc?: string;
  readonly protocol?: string;
  readonly metric?: number;
  readonly flags?: readonly string[];
}

/** A machine with thousands of routes or interfaces is still looked at. */
const outputBytesMax = 64 * 1024 * 1024;
/** As `-force` has it: the line that failed, after what the kernel said about it. */
const failedLine = /^Command failed -:(\d+)$/;

export interface Failure {
  /** The line that failed. */
  readonly line: string;
  readonly message: string;
}

/** Runs all lines, whatever becomes of each; answers those that failed. Rejects when the program can't be run. */
export async function runBatch(program: "ip" | "bridge", lines: readonly string[]): Promise<Failure[]> {
  if (lines.length === 0) return [];
  return (await batch(program, [], lines)).failures;
}

/** All or an error that names what failed first; what came after it is done all the same. */
export async function changeLinks(lines: readonly string[]): Promise<void> {
  const [failure] = await runBatch("ip", lines);
  if (failure) throw new NetworkError(`ip ${failure.line}: ${failure.message}`);
}

export const ipJson = <T>(...args: string[]): Promise<T[]> => json("ip", args);
export const bridgeJson = <T>(...args: string[]): Promise<T[]> => json("bridge", args);

async function json<T>(program: string, args: readonly string[]): Promise<T[]> {
  try {
    const { stdout } = await promisify(execFile)(program, ["-json", ...args], { maxBuffer: outputBytesMax });
    return stdout.trim() === "" ? [] : (JSON.parse(stdout) as T[]); // their own documented output
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string }; // execFile rejects with these
    throw new NetworkError(`${program} ${args.join(" ")}: ${stderr?.trim() || message}`);
  }
}

/** The way to each of these addresses; there is none to those left out. */
export async function waysTo(addresses: readonly string[]): Promise<Map<string, Route>> {
  if (addresses.length === 0) return new Map();
  const lines = addresses.map((address) => `route get ${address}`);
  const { output } = await batch("ip", ["-json"], lines);
  const routes = output
    .split("\n")
    .filter((text) => text.trim() !== "")
    .flatMap((text) => JSON.parse(text) as Route[]); // as above, one document a line
  return new Map(routes.map((route) => [route.dst, route]));
}

async function batch(
  program: string,
  args: readonly string[],
  lines: readonly string[],
): Promise<{ output: string; failures: Failure[] }> {
  const child = spawn(program, [...args, "-force", "-batch", "-"], { stdio: ["pipe", "pipe", "pipe"] });
  let output = "";
  let complaint = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (complaint += text));
  child.stdin.on("error", () => undefined); // the exit code tells why it stopped reading
  child.stdin.end(`${lines.join("\n")}\n`);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", (error) => reject(new NetworkError(`cannot run ${program}: ${error.message}`)));
    child.on("close", resolve);
  });
  const failures: Failure[] = [];
  let said: string[] = [];
  for (const text of complaint.split("\n")) {
    const found = failedLine.exec(text);
    if (!found) said.push(text);
    else {
      failures.push({ line: lines[Number(found[1]) - 1] ?? "", message: said.join(" ").trim() });
      said = [];
    }
  }
  if (code !== 0 && failures.length === 0)
    throw new NetworkError(`${program} -batch ended with code ${code}: ${said.join(" ").trim()}`);
  return { output, failures };
}
