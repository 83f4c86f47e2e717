/**
 * Ceph's own `rbd`, for those who make images and those who use them. A key goes in through standard input or a file in memory, never by
 * the command line, which everybody on the machine can read; nothing of our environment (proxies, tokens) goes along.
 */
import type { ChildProcess } from "node:child_process";

export interface CephAccess {
  readonly monitors: readonly string[];
  readonly user: string;
  /** Goes before the keyring. */
  readonly key?: string | undefined;
  /** Path of a file of this machine. */
  readonly keyring?: string | undefined;
}

export interface RbdImage {
  readonly pool: string;
  readonly image: string;
}

export interface RbdOptions {
  /** After it the program is killed: one that waits for a cluster that has gone would stay for ever. */
  readonly msMax?: number;
  /** Instead of `rbd`. */
  readonly program?: string;
}

/** A program that failed or isn't there. */
export class ProgramError extends Error {
  override name = "ProgramError";
  /** `exit status 2`, as upstream's messages have it. */
  readonly status: string;
  readonly exitCode: number | undefined;
  /** What it said, without what it logged and without the key. */
  readonly output: string;

  constructor(program: string, about: { status: string; exitCode?: number | undefined; output: string }) {
    super(about.output ? `${program}: ${about.status}: ${about.output}` : `${program}: ${about.status}`);
    this.status = about.status;
    this.exitCode = about.exitCode;
    this.output = about.output;
  }
}

const msMaxDefault = 60_000;
/** Of an answer; of an image there is little to say. */
const outputBytesMax = 2 ** 20;
const connectSeconds = 15;

/**
 * What may be part of a command: names come from whoever may write a pod or a class, and some programs split their options at blanks.
 * Answers what is wrong with one.
 */
export function wrongWord(name: string, value: string): string | undefined {
  return /^[^\s\p{Cc}"'\\/@-][^\s\p{Cc}"'\\/@]*$/u.test(value) ? undefined : `invalid ${name} ${JSON.stringify(value)}`;
}

/** Undefined: all parts are usable. */
export function accessProblem(
  { monitors, user, key, keyring }: CephAccess,
  { pool, image }: RbdImage,
): string | undefined {
  return (
    wrongWord("pool", pool) ??
    wrongWord("image", image) ??
    wrongWord("user", user) ??
    // Programs show one that they can't read.
    (key === undefined || /^[A-Za-z0-9+/]+={0,2}$/.test(key) ? undefined : "the key isn't one of Ceph's") ??
    monitors
      .map((monitor) =>
        /^[\w.:[\]/][\w.:[\]/-]*$/.test(monitor) ? undefined : `invalid monitor ${JSON.stringify(monitor)}`,
      )
      .find(Boolean) ??
    (keyring === undefined || /^\/[^\s\p{Cc}"'\\]*$/u.test(keyring)
      ? undefined
      : `invalid keyring ${JSON.stringify(keyring)}`)
  );
}

/** Options that every program of Ceph takes. `keyFile` instead of the key itself. */
export const accessArguments = ({ monitors, user, key, keyring }: CephAccess, keyFile = "-"): string[] => [
  `--mon_host=${monitors.join(",")}`,
  `--id=${user}`,
  `--client_mount_timeout=${connectSeconds}`,
  ...(key !== undefined ? [`--keyfile=${keyFile}`] : keyring ? [`--keyring=${keyring}`] : []),
];

export const imageArguments = ({ pool, image }: RbdImage): string[] => [`--pool=${pool}`, `--image=${image}`];

/** Rejects with ProgramError. */
export async function rbd(
  access: CephAccess,
  args: readonly string[],
  { msMax, program = "rbd" }: RbdOptions = {},
): Promise<string> {
  return runProgram(program, [...args, ...accessArguments(access)], { input: access.key, msMax, hide: access.key });
}

/** Ceph's settings of this machine, if it has some. */
export async function cephEnvironment(): Promise<Record<string, string>> {
  const { existsSync } = await import("node:fs");
  const settings = "/etc/ceph/ceph.conf";
  return { CEPH_CONF: existsSync(settings) ? settings : "/dev/null" };
}

/** Standard output. Rejects with ProgramError. `hide`: what must not be seen in any message. */
export async function runProgram(
  program: string,
  args: readonly string[],
  options: {
    readonly input?: string | undefined;
    readonly msMax?: number | undefined;
    readonly hide?: string | undefined;
    readonly env?: Readonly<Record<string, string>>;
  } = {},
): Promise<string> {
  const { execFile } = await import("node:child_process");
  const { input, msMax = msMaxDefault, hide } = options;
  const env = { PATH: `${process.env.PATH}:/usr/sbin:/sbin`, LANG: "C", ...(await cephEnvironment()), ...options.env };
  return new Promise((resolve, reject) => {
    const settings = { env, timeout: msMax, killSignal: "SIGKILL", maxBuffer: outputBytesMax, cwd: "/" } as const;
    const child: ChildProcess = execFile(program, args, settings, (error, out, complaint) => {
      if (!error) return resolve(out);
      const said = clean(`${complaint}${out}`, hide);
      const exitCode = typeof error.code === "number" ? error.code : undefined;
      const status =
        (error.code as unknown) === "ENOENT" // a string when it could not be started
          ? `exec: ${JSON.stringify(program)}: executable file not found in $PATH`
          : exitCode !== undefined
            ? `exit status ${exitCode}`
            : error.killed
              ? `no answer within ${msMax / 1000} s`
              : `signal: ${error.signal ?? error.code}`;
      reject(new ProgramError(program, { status, exitCode, output: said }));
    });
    // It may have ended before it read.
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(input ?? "");
  });
}

/** Without what Ceph logs beside its answer: lines that begin with a time, in which a malformed key would be shown too. */
function clean(text: string, hide: string | undefined): string {
  const visible = text
    .split("\n")
    .filter((line) => line.trim() && !/^\d{4}-\d\d-\d\dT/.test(line))
    .join("\n");
  const secret = hide?.trim();
  return secret ? visible.replaceAll(secret, "<masked>") : visible;
}

/** Addresses of the clients that have an image open for writing, as far as they keep watch over it. */
export async function rbdWatchers(access: CephAccess, image: RbdImage): Promise<string[]> {
  const { watchers = [] } = JSON.parse(await rbd(access, ["status", ...imageArguments(image), "--format=json"])) as {
    watchers?: { address: string }[];
  }; // its documented form
  return watchers.map(({ address }) => address);
}

export interface RbdInfo {
  readonly bytes: number;
  readonly features: readonly string[];
}

export async function rbdInfo(access: CephAccess, image: RbdImage): Promise<RbdInfo> {
  const { size, features = [] } = JSON.parse(
    await rbd(access, ["info", ...imageArguments(image), "--format=json"]),
  ) as { size: number; features?: string[] }; // its documented form
  return { bytes: size, features };
}

/** Of a Secret's data, as upstream: the entry `key`, else the last one. Undefined: it has none. */
export function cephKeyOf(data: Readonly<Record<string, string>> | undefined): string | undefined {
  const text = data?.key ?? Object.values(data ?? {}).at(-1);
  return text === undefined ? undefined : Buffer.from(text, "base64").toString().trim();
}
