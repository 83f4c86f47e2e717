/**
 * Plays the recorded answers of a real Kubernetes (../shared/compat) against ours and fails when fewer steps are right than
 * the floor in test/compat-floor.json, which only rises. A step is right when it is answered as recorded, or when docs/compat.md
 * explains it by a later release and the answer is that release's (compat-answer.ts). Usage: compat.ts [requests|pods] [-v]
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { explainedSteps, type Later, laterFile, type RecordedAnswer, stepOf, summary } from "./compat-answer.ts";

const root = path.resolve(import.meta.dirname, "..");
const compat = path.join(root, "../shared/compat");
const sampan = path.join(root, "dist/sampan.js");
const readyMsMax = 30_000;
const requestsPort = 16_643;
const minuteMs = 60_000;

interface Floor {
  requests: number;
  pods: number;
}

interface Outcome {
  readonly same: number;
  /** Steps that later releases answer differently, as we do. */
  readonly explained?: number;
  readonly text: string;
}

const recorded = path.join(compat, "recorded-1.24.jsonl");
const floorFile = path.join(root, "test/compat-floor.json");
const floor = JSON.parse(readFileSync(floorFile, "utf8")) as Floor;
const only = process.argv[2];
const verbose = process.argv.includes("-v");

/** Starts a program and resolves when its output has this text. */
async function startUntil(command: string[], ready: string, log: string) {
  const output = openSync(log, "w");
  const child = spawn(command[0] ?? "", command.slice(1), { stdio: ["ignore", output, output] });
  closeSync(output);
  const end = Date.now() + readyMsMax;
  while (!readFileSync(log, "utf8").includes(ready)) {
    if (child.exitCode !== null || Date.now() > end)
      throw new Error(`${command.join(" ")} is not ready:\n${readFileSync(log, "utf8")}`);
    await new Promise((next) => setTimeout(next, 50));
  }
  return child;
}

async function stop(child: ReturnType<typeof spawn>): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  await ended;
}

/** The player's answer, whatever its exit code; it ends by itself, or is ended. */
function play(command: string[], environment: NodeJS.ProcessEnv): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(command[0] ?? "", command.slice(1), {
      env: { ...process.env, ...environment },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const limit = setTimeout(() => child.kill("SIGKILL"), 15 * minuteMs);
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (piece: string) => {
      text += piece;
    });
    child.on("error", reject);
    child.on("close", () => {
      clearTimeout(limit);
      const passed = /(\d+) passed, (\d+) failed\s*$/.exec(text)?.[1];
      if (passed === undefined) reject(new Error(`the player gave no result:\n${text.slice(-2000)}`));
      else resolve({ same: Number(passed), text });
    });
  });
}

async function playRequests(folder: string): Promise<Outcome> {
  const tokens = path.join(folder, "tokens.csv");
  writeFileSync(tokens, 'tok,admin,1,"system:masters"\nalice,alice,2\n');
  const flags = [
    "--data-dir",
    path.join(folder, "requests"),
    "--secure-port",
    String(requestsPort),
    "--bind-address",
    "127.0.0.1",
  ];
  const server = await startUntil(
    [process.execPath, sampan, "apiserver", ...flags, "--token-auth-file", tokens],
    "serving on",
    path.join(folder, "apiserver.log"),
  );
  const answers = path.join(folder, "answers.jsonl");
  const tap = `--import=${path.join(import.meta.dirname, "compat-tap.ts")}`;
  try {
    const check = ["--token", "tok", "--check", recorded, ...(verbose ? ["-v"] : [])];
    const outcome = await play(
      [process.execPath, tap, path.join(compat, "run.mjs"), "--server", `https://127.0.0.1:${requestsPort}`, ...check],
      { COMPAT_ANSWERS: answers },
    );
    return withExplained(outcome, answers);
  } finally {
    await stop(server);
  }
}

const lines = <T>(file: string): T[] =>
  readFileSync(file, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as T);

/** Counts the steps that differ from the recording as a later release does, and names those that nothing explains. */
function withExplained({ same, text }: Outcome, answersFile: string): Outcome {
  const steps = lines<{ id: string }>(recorded).map(({ id }) => stepOf(id));
  const answers = lines<RecordedAnswer>(answersFile);
  if (answers.length !== steps.length) throw new Error(`${answers.length} answers to ${steps.length} steps`);
  const explained = explainedSteps();
  const later = JSON.parse(readFileSync(laterFile, "utf8")) as Later;
  const differing = Array.from(text.matchAll(/^DIFF (.*)$/gm), ([, id = ""]) => stepOf(id));
  const neither = differing.filter((step) => {
    const answer = answers[steps.indexOf(step)];
    return !explained.has(step) || !answer || summary(answer) !== later[step];
  });
  const why = neither.map((step) => `${step}${explained.has(step) ? " (not as the later release)" : ""}`);
  return { same, explained: differing.length - neither.length, text: `${text}neither: ${why.join(", ")}` };
}

/** Pods that a later release runs otherwise (docs/compat.md), as long as nothing else about them differs. */
function withLaterPods({ same, text }: Outcome): Outcome {
  const later = JSON.parse(readFileSync(path.join(root, "test/compat-later-pods.json"), "utf8")) as Record<
    string,
    string[]
  >;
  const differing = text.matchAll(/^DIFF (\S+)\n((?: {5}.*\n)*)/gm);
  const explained = Array.from(differing).filter(([, name = "", found = ""]) => {
    const wanted = later[name];
    const seen = found.split("\n").filter((line) => line !== "");
    return wanted && seen.length > 0 && seen.every((line) => wanted.includes(line.trim()));
  });
  return { same, explained: explained.length, text };
}

async function playPods(folder: string): Promise<Outcome> {
  const keeper = spawn(
    "unshare",
    ["--net", "--mount", "--kill-child", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  await once(keeper.stdout, "data");
  const inside = ["nsenter", `--net=/proc/${keeper.pid}/ns/net`, `--mount=/proc/${keeper.pid}/ns/mnt`, `--wd=${root}`];
  const data = path.join(folder, "pods");
  const run = (...args: string[]) =>
    execFileSync(inside[0] ?? "", [...inside.slice(1), process.execPath, sampan, ...args, "--data-dir", data], {
      stdio: ["ignore", "ignore", "inherit"],
      timeout: 2 * minuteMs,
    });
  try {
    const cluster = await startUntil(
      [...inside, process.execPath, sampan, "up", "--data-dir", data, "--node-name", "node1"],
      "ready in",
      path.join(folder, "up.log"),
    );
    try {
      run("image", "pack", "demo/busybox:1", "--file", "/bin/busybox:/bin/busybox", "--file", "/bin/busybox:/bin/sh");
      const check = ["--check", path.join(compat, "pods-recorded-1.24.json"), "--parallel", "4"];
      const outcome = await play([...inside, process.execPath, path.join(compat, "pods.mjs"), ...check], {
        KUBECONFIG: path.join(data, "admin.kubeconfig"),
      });
      return withLaterPods(outcome);
    } finally {
      run("down", "--purge");
      await stop(cluster);
    }
  } finally {
    keeper.kill("SIGKILL");
  }
}

const folder = mkdtempSync(path.join(tmpdir(), "sampan-compat-"));
let worse = false;
try {
  for (const [name, run] of [
    ["requests", playRequests],
    ["pods", playPods],
  ] as const) {
    if (only && only !== name && !only.startsWith("-")) continue;
    if (name === "pods" && process.getuid?.() !== 0) {
      console.log("pods: skipped, needs root");
      continue;
    }
    const { same, explained = 0, text } = await run(folder);
    const right = same + explained;
    console.log(text);
    const total = [.../* the player's last line */ text.matchAll(/(\d+) passed, (\d+) failed/g)].at(-1);
    const neither = Number(total?.[1]) + Number(total?.[2]) - right;
    console.log(`compat ${name}: ${same} the same, ${explained} explained, ${neither} neither; floor ${floor[name]}`);
    if (right < floor[name]) worse = true;
    if (right > floor[name]) console.log(`raise the floor of ${name} in test/compat-floor.json to ${right}`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = worse ? 1 : 0;
