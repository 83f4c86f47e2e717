/**
 * What a simulated container does, from annotations of its pod (docs/simulated.md has the table). A value is for all main containers,
 * and behind `name=` for one: `sampan.dev/run-for: "10s, helper=1m"`; init containers and sidecars are only meant by name. Without a
 * word a container runs for ever if it would be restarted anyhow, else for a moment; what `pause`, `sleep`, `true`, `false` and `exit`
 * do is known, so that manifests of tests work as they are.
 */
import { parseDuration } from "#base";
import { restartPolicyOf } from "../core/restart.ts";
import type { ContainerSpec, PodView, ProbeType } from "../core/types.ts";

export const behaviorPrefix = "sampan.dev/";

/** What a probe is answered: `before`, and the opposite once the container ran for so long. */
export interface ProbeAnswer {
  readonly before: boolean;
  /** Infinity: never. */
  readonly turnsAfterMs: number;
}

export interface Behavior {
  /** From the container's turn to start until it runs. */
  readonly startMs: number;
  /** From its start until it is ready, with or without a readiness probe; undefined: as its probes say. */
  readonly readyMs: number | undefined;
  /** Infinity: for ever; undefined: the usual. */
  readonly runMs: number | undefined;
  readonly exitCode: number | undefined;
  /** The first so many runs fail; undefined: nothing was said. */
  readonly failures: number | undefined;
  readonly pullFailures: number;
  /** From the polite signal until it ends. */
  readonly stopMs: number;
  readonly stopExitCode: number;
  readonly probes: Readonly<Record<ProbeType, ProbeAnswer>>;
}

/** As a program without a handler for SIGTERM ends. */
const terminatedCode = 143;
const passes: ProbeAnswer = { before: true, turnsAfterMs: Number.POSITIVE_INFINITY };
export const plainBehavior: Behavior = {
  startMs: 0,
  readyMs: undefined,
  runMs: undefined,
  exitCode: undefined,
  failures: undefined,
  pullFailures: 0,
  stopMs: 0,
  stopExitCode: terminatedCode,
  probes: { startup: passes, readiness: passes, liveness: passes },
};

/** Names what is wrong with an annotation; the pod shows it. */
export class BehaviorError extends Error {
  override name = "BehaviorError";
}

/** `more` goes before annotations. Throws BehaviorError. */
export function behaviorOf(pod: PodView, container: ContainerSpec, more?: Partial<Behavior>): Behavior {
  const { annotations = {} } = pod.metadata;
  const isAnnotated = Object.keys(annotations).some((key) => key.startsWith(behaviorPrefix));
  if (!isAnnotated && !more) return plainBehavior;
  const behavior = { ...(isAnnotated ? annotated(pod, container) : plainBehavior), ...more };
  const { readyMs, probes } = behavior;
  if (readyMs === undefined) return behavior;
  return { ...behavior, probes: { ...probes, readiness: { before: false, turnsAfterMs: readyMs } } };
}

function annotated(pod: PodView, container: ContainerSpec): Behavior {
  const { annotations = {} } = pod.metadata;
  const isMain = pod.spec?.containers.some(({ name }) => name === container.name) ?? false;
  const read = <T>(name: string, parse: (text: string) => T | undefined): T | undefined => {
    const text = valueFor(annotations[behaviorPrefix + name], container.name, { isMain });
    if (text === undefined) return undefined;
    const value = parse(text);
    if (value === undefined)
      throw new BehaviorError(`annotation ${behaviorPrefix}${name} can't be ${JSON.stringify(text)}`);
    return value;
  };
  const probe = (type: ProbeType) => read(`${type}-probe`, probeAnswer) ?? passes;
  return {
    startMs: read("start-after", duration) ?? 0,
    readyMs: read("ready-after", duration),
    runMs: read("run-for", (text) => (text === "forever" ? Number.POSITIVE_INFINITY : duration(text))),
    exitCode: read("exit-code", count),
    failures: read("failures", countOrAlways),
    pullFailures: read("pull-failures", countOrAlways) ?? 0,
    stopMs: read("stop-after", (text) => (text === "never" ? Number.POSITIVE_INFINITY : duration(text))) ?? 0,
    stopExitCode: read("stop-exit-code", count) ?? terminatedCode,
    probes: { startup: probe("startup"), readiness: probe("readiness"), liveness: probe("liveness") },
  };
}

/** The part of an annotation that is about this container. */
export function valueFor(
  text: string | undefined,
  container: string,
  { isMain }: { isMain: boolean },
): string | undefined {
  let general: string | undefined;
  for (const part of text?.split(",") ?? []) {
    const [first = "", second] = part.split("=");
    if (second === undefined) general = isMain ? first.trim() : general;
    else if (first.trim() === container) return second.trim();
  }
  return general;
}

const duration = (text: string): number | undefined => {
  const ms = parseDuration(text);
  return ms !== undefined && ms >= 0 ? ms : undefined;
};
const count = (text: string): number | undefined => (/^\d+$/.test(text) ? Number(text) : undefined);
const countOrAlways = (text: string): number | undefined =>
  text === "always" ? Number.POSITIVE_INFINITY : count(text);

/** `pass`, `fail`, `pass after 5s`, `fail after 1m`. */
function probeAnswer(text: string): ProbeAnswer | undefined {
  const [, verdict, after] = /^(pass|fail)(?: after (\S+))?$/.exec(text) ?? [];
  if (verdict === undefined) return undefined;
  if (after === undefined) return { ...passes, before: verdict === "pass" };
  const turnsAfterMs = duration(after);
  return turnsAfterMs === undefined ? undefined : { before: verdict === "fail", turnsAfterMs };
}

export const answerAt = ({ before, turnsAfterMs }: ProbeAnswer, ranMs: number): boolean =>
  ranMs >= turnsAfterMs ? !before : before;

/** How one run of a container goes if nobody stops it. */
export interface Run {
  /** Infinity: for ever. */
  readonly forMs: number;
  readonly exitCode: number;
}

/** `failedBefore`: runs that count towards `failures`; `usualMs`: how long runs take that are to end. */
export function runOf(
  pod: PodView,
  container: ContainerSpec,
  { behavior, failedBefore, usualMs }: { behavior: Behavior; failedBefore: number; usualMs: number },
): Run {
  const { failures, exitCode, runMs } = behavior;
  if (failures !== undefined && failedBefore < failures) return { forMs: runMs ?? 0, exitCode: exitCode || 1 };
  const told = failures === undefined && exitCode !== undefined;
  const command = commandRun(container);
  const isRegular = pod.spec?.containers.some(({ name }) => name === container.name) ?? false;
  const goesOn = isRegular ? restartPolicyOf(pod, container) === "Always" : container.restartPolicy === "Always";
  const forMs =
    runMs ?? (told ? usualMs : (command?.forMs ?? (goesOn ? Number.POSITIVE_INFINITY : isRegular ? usualMs : 0)));
  return { forMs, exitCode: told ? exitCode : (command?.exitCode ?? 0) };
}

/** What images and commands do that every cluster's tests use; undefined: not known. */
function commandRun({ image = "", command = [], args = [] }: ContainerSpec): Run | undefined {
  const words = [...command, ...args].join(" ").replace(/^(\S*\/)?(sh|bash) -c /, "");
  if (words === "")
    return /(^|\/)pause(:|@|$)/.test(image) ? { forMs: Number.POSITIVE_INFINITY, exitCode: 0 } : undefined;
  const parts = /^(?:(?:\S*\/)?sleep (\d+|inf|infinity))?\s*(?:&&|;)?\s*(?:\S*\/)?(true|false|exit (\d+))?;?$/.exec(
    words.trim(),
  );
  if (!parts) return undefined;
  const [, sleep, last, code] = parts;
  const forMs = sleep === undefined ? 0 : sleep.startsWith("inf") ? Number.POSITIVE_INFINITY : Number(sleep) * 1000;
  return { forMs, exitCode: last === "false" ? 1 : Number(code ?? 0) };
}
