/**
 * Reads a KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1): profiles with rules switched on, off and weighted, how many nodes
 * are looked at, and back-off. What this scheduler can't do is an error: a file that is half obeyed would place pods wrongly
 * without anybody noticing. Rules here prepare, check and act in one, so a rule is in or out as it is at `filter` or `score`.
 */
import { defaultProfile } from "./core/default-plugins.ts";
import type { FilterPlugin, Profile, ScorePlugin } from "./core/framework.ts";
import { defaultBackoff } from "./core/pending-pods.ts";

export interface SchedulerConfiguration {
  readonly profiles: readonly Profile[];
  readonly backoff: typeof defaultBackoff;
}

export class ConfigurationError extends Error {
  override name = "ConfigurationError";
}

/** Extension points whose work is done elsewhere here; what they say about a rule follows from `filter` and `score`. */
const impliedPoints = ["preFilter", "preScore", "reserve", "preBind"];
/** At these there is nothing to choose. */
const fixedPoints = ["preEnqueue", "queueSort", "permit", "bind", "postBind"];
const points = ["multiPoint", "filter", "postFilter", "score"];

const preemption = "DefaultPreemption";
/** Built in: no rule of ours, but on all the same. */
const builtIn = new Set([preemption, "SchedulingGates", "PrioritySort", "DefaultBinder"]);

/** `document`: the parsed file. Throws ConfigurationError, which names the field. */
export function readSchedulerConfiguration(document: unknown): SchedulerConfiguration {
  const top = readMap(document, "the file", [
    ...[
      "apiVersion",
      "kind",
      "profiles",
      "percentageOfNodesToScore",
      "podInitialBackoffSeconds",
      "podMaxBackoffSeconds",
    ],
    // Of another way to run; they change no decision.
    ...["parallelism", "clientConnection", "leaderElection", "enableProfiling", "enableContentionProfiling"],
  ]);
  if (top.apiVersion !== "kubescheduler.config.k8s.io/v1" || top.kind !== "KubeSchedulerConfiguration") {
    throw new ConfigurationError(
      `apiVersion, kind: want kubescheduler.config.k8s.io/v1 KubeSchedulerConfiguration, have ${top.apiVersion} ${top.kind}`,
    );
  }
  const leads = top.leaderElection && readMap(top.leaderElection, "leaderElection").leaderElect;
  if (leads) throw new ConfigurationError("leaderElection.leaderElect: not supported, run one scheduler at a time");
  const percentage = readPercentage(top.percentageOfNodesToScore, "percentageOfNodesToScore");
  const firstMs = readSeconds(top.podInitialBackoffSeconds, "podInitialBackoffSeconds") ?? defaultBackoff.firstMs;
  const maxMs = readSeconds(top.podMaxBackoffSeconds, "podMaxBackoffSeconds") ?? defaultBackoff.maxMs;
  if (maxMs < firstMs) {
    throw new ConfigurationError("podMaxBackoffSeconds: want at least podInitialBackoffSeconds");
  }
  const profiles = readList(top.profiles, "profiles").map((each, index) =>
    readProfile(each, { path: `profiles[${index}]`, percentage }),
  );
  if (profiles.length === 0) profiles.push({ ...defaultProfile, percentageOfNodesToScore: percentage });
  const names = profiles.map(({ schedulerName }) => schedulerName);
  const repeated = names.find((name, index) => names.indexOf(name) !== index);
  if (repeated !== undefined) throw new ConfigurationError(`profiles: "${repeated}" is there twice`);
  return { profiles, backoff: { firstMs, maxMs } };
}

function readProfile(value: unknown, { path, percentage }: { path: string; percentage: number | undefined }): Profile {
  const profile = readMap(value, path, ["schedulerName", "plugins", "percentageOfNodesToScore"]);
  const { schedulerName = defaultProfile.schedulerName } = profile;
  if (typeof schedulerName !== "string" || schedulerName === "") {
    throw new ConfigurationError(`${path}.schedulerName: want a name`);
  }
  const asked = readMap(profile.plugins ?? {}, `${path}.plugins`, [...points, ...impliedPoints, ...fixedPoints]);
  for (const point of fixedPoints) {
    if (asked[point] !== undefined) throw new ConfigurationError(`${path}.plugins.${point}: can't be changed here`);
  }
  const choiceAt = (point: string) => readChoice(asked[point] ?? {}, `${path}.plugins.${point}`);
  const everywhere = choiceAt("multiPoint");
  const resolve = (point: string, rules: readonly { name: string; weight?: number }[]) =>
    choose(choose(rules, everywhere), choiceAt(point));
  const filters = resolve("filter", defaultProfile.filters);
  const scores = resolve("score", defaultProfile.scores);
  return {
    ...defaultProfile,
    schedulerName,
    filters: filters.flatMap(({ name }) => findRule<FilterPlugin>(defaultProfile.filters, name)),
    scores: scores.flatMap(({ name, weight }) =>
      findRule<ScorePlugin>(defaultProfile.scores, name).map((rule) => ({ ...rule, weight: weight ?? 1 })),
    ),
    preempts: resolve("postFilter", [{ name: preemption }]).some(({ name }) => name === preemption),
    percentageOfNodesToScore:
      readPercentage(profile.percentageOfNodesToScore, `${path}.percentageOfNodesToScore`) ?? percentage,
  };
}

interface Choice {
  readonly enabled: readonly { readonly name: string; readonly weight?: number }[];
  readonly disabled: ReadonlySet<string>;
}

/** Those there before, in their order, less the disabled ones; what is enabled replaces its namesake or comes last. */
function choose(
  rules: readonly { readonly name: string; readonly weight?: number }[],
  { enabled, disabled }: Choice,
): readonly { readonly name: string; readonly weight?: number }[] {
  const kept = rules.filter(({ name }) => !disabled.has("*") && !disabled.has(name));
  const asked = new Map(enabled.map((each) => [each.name, each]));
  const isKept = (name: string) => kept.some((rule) => rule.name === name);
  return [...kept.map((rule) => asked.get(rule.name) ?? rule), ...enabled.filter(({ name }) => !isKept(name))];
}

/** None when the rule doesn't do this kind of work. */
function findRule<T extends { readonly name: string }>(rules: readonly T[], name: string): T[] {
  const rule = rules.find((each) => each.name === name);
  return rule ? [rule] : [];
}

function readChoice(value: unknown, path: string): Choice {
  const { enabled, disabled } = readMap(value, path, ["enabled", "disabled"]);
  const known = new Set([...[...defaultProfile.filters, ...defaultProfile.scores].map(({ name }) => name), ...builtIn]);
  return {
    enabled: readList(enabled, `${path}.enabled`).map((each, index) => {
      const here = `${path}.enabled[${index}]`;
      const { name, weight } = readMap(each, here, ["name", "weight"]);
      if (typeof name !== "string" || !known.has(name)) {
        throw new ConfigurationError(
          `${here}.name: ${JSON.stringify(name)} is none of ${[...known].sort().join(", ")}`,
        );
      }
      // 0 is "not said" upstream.
      return { name, weight: readInteger(weight, `${here}.weight`) || undefined };
    }),
    disabled: new Set(
      readList(disabled, `${path}.disabled`).map((each, index) =>
        String(readMap(each, `${path}.disabled[${index}]`, ["name", "weight"]).name),
      ),
    ),
  };
}

/** `fields`: all that may be there; undefined: anything. */
function readMap(value: unknown, path: string, fields?: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ConfigurationError(`${path}: want a map, have ${JSON.stringify(value)}`);
  }
  const unknown = fields && Object.keys(value).find((key) => !fields.includes(key));
  if (unknown !== undefined) throw new ConfigurationError(`${path}: "${unknown}" is not supported`);
  return value as Record<string, unknown>; // an object
}

function readList(value: unknown, path: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new ConfigurationError(`${path}: want a list, have ${JSON.stringify(value)}`);
  return value;
}

function readInteger(value: unknown, path: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0) {
    throw new ConfigurationError(`${path}: want a whole number, have ${JSON.stringify(value)}`);
  }
  return value;
}

/** Undefined: as many as fits the cluster's size. */
function readPercentage(value: unknown, path: string): number | undefined {
  const percentage = readInteger(value, path);
  if (percentage !== undefined && percentage > 100) throw new ConfigurationError(`${path}: want 0 to 100`);
  return percentage;
}

function readSeconds(value: unknown, path: string): number | undefined {
  const seconds = readInteger(value, path);
  if (seconds === 0) throw new ConfigurationError(`${path}: want at least 1`);
  return seconds && seconds * 1000;
}
