/**
 * Reads a KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1), with upstream's defaults, checks and words: profiles with rules
 * switched on, off, weighted and given arguments, extenders, how many nodes are looked at, back-off, leader election.
 * Rules here prepare, check and act in one, so a rule is in or out as it is at `filter` or `score`.
 */
import { type FieldError, FieldPath, fieldError, isQualifiedName, printFieldErrors } from "#machinery";
import { argumentShapes, ConfigurationError, decode, fileShape, type Point, points } from "./configuration-shape.ts";
import { createPlugins, defaultArguments, defaultProfile, type PluginArguments } from "./core/default-plugins.ts";
import type { FilterPlugin, Profile, ScorePlugin } from "./core/framework.ts";
import { defaultBackoff } from "./core/pending-pods.ts";
import { isExtended } from "./core/resources.ts";
import type { ExtenderConfiguration } from "./extender.ts";
import { pluginArguments } from "./plugin-arguments.ts";

export { ConfigurationError };

export interface SchedulerConfiguration {
  readonly profiles: readonly Profile[];
  readonly backoff: typeof defaultBackoff;
  readonly extenders: readonly ExtenderConfiguration[];
  /** As the file says; whoever runs the scheduler elects. */
  readonly leaderElection: LeaderElectionConfiguration;
  /** Of `clientConnection`. */
  readonly kubeconfig?: string;
}

/** Absent: not said. Durations in milliseconds. */
export interface LeaderElectionConfiguration {
  readonly leaderElect?: boolean;
  readonly leaseDuration?: number;
  readonly renewDeadline?: number;
  readonly retryPeriod?: number;
  readonly resourceLock?: string;
  readonly resourceName?: string;
  readonly resourceNamespace?: string;
}

interface PluginChoice {
  readonly name: string;
  readonly weight?: number;
}

interface PluginSet {
  readonly enabled?: readonly PluginChoice[];
  readonly disabled?: readonly PluginChoice[];
}

/** Of the file's shape. */
interface File {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly parallelism?: number;
  readonly leaderElection?: LeaderElectionConfiguration;
  readonly clientConnection?: { readonly kubeconfig?: string; readonly burst?: number };
  readonly percentageOfNodesToScore?: number;
  readonly podInitialBackoffSeconds?: number;
  readonly podMaxBackoffSeconds?: number;
  readonly profiles?: readonly ProfileFile[];
  readonly extenders?: readonly ExtenderConfiguration[];
}

interface ProfileFile {
  readonly schedulerName?: string;
  readonly percentageOfNodesToScore?: number;
  readonly plugins?: Readonly<Partial<Record<Point | "multiPoint", PluginSet>>>;
  readonly pluginConfig?: readonly { readonly name?: string; readonly args?: unknown }[];
}

const group = "kubescheduler.config.k8s.io";
const apiVersion = `${group}/v1`;
const kind = "KubeSchedulerConfiguration";

/** `document`: the parsed file. Throws ConfigurationError. */
export function readSchedulerConfiguration(document: unknown): SchedulerConfiguration {
  const file = readFile(document);
  const given = file.profiles?.length ? file.profiles : [{}];
  // Only a single profile has a usual name.
  const named = given.map((each) => ({
    ...each,
    schedulerName: each.schedulerName ?? (given.length === 1 ? defaultProfile.schedulerName : ""),
  }));
  const args = named.map(({ pluginConfig = [] }, index) => readArguments(pluginConfig, index));
  const problems = validate(
    { ...file, profiles: named },
    args.map(({ all }) => all),
  );
  if (problems.length > 0) throw new ConfigurationError(printFieldErrors(problems));
  const { extenders = [], leaderElection = {}, clientConnection } = file;
  const ignored = extenders.flatMap(({ managedResources = [] }) =>
    managedResources.filter(({ ignoredByScheduler }) => ignoredByScheduler).map(({ name }) => name),
  );
  return {
    profiles: named.map((each, index) =>
      createProfile(each, { args: args[index]?.merged ?? defaultArguments, file, ignored }),
    ),
    backoff: {
      firstMs: seconds(file.podInitialBackoffSeconds, defaultBackoff.firstMs),
      maxMs: seconds(file.podMaxBackoffSeconds, defaultBackoff.maxMs),
    },
    extenders,
    leaderElection,
    ...(clientConnection?.kubeconfig ? { kubeconfig: clientConnection.kubeconfig } : {}),
  };
}

const seconds = (given: number | undefined, usualMs: number) => (given === undefined ? usualMs : given * 1000);

function readFile(document: unknown): File {
  const { apiVersion: version, kind: own } = (document ?? {}) as File; // read as text only
  if (!own) throw new ConfigurationError(`Object 'Kind' is missing in '${JSON.stringify(document)}'`);
  if (!version) throw new ConfigurationError(`Object 'apiVersion' is missing in '${JSON.stringify(document)}'`);
  if (version !== apiVersion || own !== kind) {
    throw new ConfigurationError(unregistered(own, version));
  }
  return decode(document, fileShape, kind) as File; // of its shape
}

const unregistered = (own: string, version: string) =>
  `no kind "${own}" is registered for version "${version}" in scheme "pkg/runtime/scheme.go:111"`;

/** What was given for each rule, and all arguments with it. */
interface Arguments {
  readonly all: readonly { readonly name: string; readonly args: unknown }[];
  readonly merged: PluginArguments;
}

function readArguments(configs: NonNullable<ProfileFile["pluginConfig"]>, profile: number): Arguments {
  let merged = defaultArguments;
  const all = configs.map(({ name = "", args }, index) => {
    const shape = argumentShapes[name];
    if (!shape) return { name, args };
    const at = `decoding .profiles[${profile}].pluginConfig[${index}]: `;
    const decoded = decodeArguments(name, args ?? {}, at);
    if (!isConfigurable(name)) return { name, args: decoded };
    const filled = pluginArguments[name].fill(decoded);
    merged = { ...merged, [name]: filled };
    return { name, args: filled };
  });
  return { all, merged };
}

const isConfigurable = (name: string): name is keyof PluginArguments => Object.hasOwn(pluginArguments, name);

function decodeArguments(name: string, args: unknown, at: string): Readonly<Record<string, unknown>> {
  const { apiVersion: version = apiVersion, kind: own = `${name}Args` } = args as File; // read as text only
  if (version !== apiVersion || !Object.keys(argumentShapes).some((each) => own === `${each}Args`)) {
    throw new ConfigurationError(`${at}decoding args for plugin ${name}: ${unregistered(own, version)}`);
  }
  if (own !== `${name}Args`) {
    const have = `${own}.${group}`;
    throw new ConfigurationError(`${at}args for plugin ${name} were not of type ${name}Args.${group}, got ${have}`);
  }
  try {
    const { apiVersion: _, kind: __, ...rest } = decode(args, argumentShapes[name] ?? {}, `${name}Args`) as File;
    return rest as Readonly<Record<string, unknown>>; // a map
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    const isStrict = error.message.startsWith("strict");
    const strict = isStrict ? "strict decoding error: " : "";
    throw new ConfigurationError(`${strict}${at}${strict}decoding args for plugin ${name}: ${error.message}`);
  }
}

function validate(
  file: File & { readonly profiles: readonly ProfileFile[] },
  args: readonly Arguments["all"][],
): FieldError[] {
  const problems: FieldError[] = [];
  const root = FieldPath.none;
  const reject = (path: FieldPath, value: unknown, message: string) =>
    problems.push(fieldError.invalid(path, value, message));
  const checkPercentage = (path: FieldPath, value: number | undefined) => {
    if (value !== undefined && (value < 0 || value > 100)) reject(path, value, "not in valid range [0-100]");
  };
  const burst = file.clientConnection?.burst;
  if (burst !== undefined && burst < 0) reject(root.child("clientConnection", "burst"), burst, "must be non-negative");
  problems.push(...validateLeaderElection(file.leaderElection ?? {}));
  if (file.parallelism !== undefined && file.parallelism <= 0) {
    reject(root.child("parallelism"), file.parallelism, "should be an integer value greater than zero");
  }
  const removed = ["AzureDiskLimits", "CinderLimits", "EBSLimits", "GCEPDLimits"];
  const wasRemoved = `was invalid in version "v1" (KubeSchedulerConfiguration is version "${apiVersion}")`;
  const seen = new Set<string>();
  for (const [index, { schedulerName = "", percentageOfNodesToScore, plugins = {} }] of file.profiles.entries()) {
    const path = root.child("profiles").index(index);
    if (schedulerName === "") problems.push(fieldError.required(path.child("schedulerName")));
    checkPercentage(path.child("percentageOfNodesToScore"), percentageOfNodesToScore);
    for (const [point, { enabled = [] }] of Object.entries(plugins)) {
      for (const [position, { name }] of enabled.entries()) {
        if (point !== "multiPoint" && removed.includes(name)) {
          reject(path.child("plugins", point, "enabled").index(position), name, wasRemoved);
        }
      }
    }
    const configured = new Set<string>();
    for (const [position, { name, args: own }] of (args[index] ?? []).entries()) {
      const at = path.child("pluginConfig").index(position);
      if (configured.has(name)) problems.push(fieldError.duplicate(at, name));
      configured.add(name);
      if (removed.includes(name)) reject(at, name, wasRemoved);
      // Of its own shape, by name. Arguments of NodeResourcesFit are checked when the rule is made, upstream's oddity.
      else if (isConfigurable(name) && name !== "NodeResourcesFit") {
        pluginArguments[name].check(own as never, at.child("args"), problems);
      }
    }
    const before = seen.has(schedulerName);
    if (before) {
      // Upstream prints the path of the other one, which prints as nothing.
      problems.push(fieldError.duplicate(path.child("schedulerName"), {}));
    }
    seen.add(schedulerName);
    const sort = asGo(plugins.queueSort);
    if (index > 0 && JSON.stringify(sort) !== JSON.stringify(asGo(file.profiles[0]?.plugins?.queueSort))) {
      reject(path.child("plugins", "queueSort"), sort, "must be the same for all profiles");
    }
  }
  checkPercentage(root.child("percentageOfNodesToScore"), file.percentageOfNodesToScore);
  const { podInitialBackoffSeconds: first = 1, podMaxBackoffSeconds: max = 10 } = file;
  if (first <= 0) reject(root.child("podInitialBackoffSeconds"), first, "must be greater than 0");
  if (max < first) {
    reject(root.child("podMaxBackoffSeconds"), max, "must be greater than or equal to PodInitialBackoffSeconds");
  }
  problems.push(...validateExtenders(file.extenders ?? []));
  return problems;
}

/** As Go prints what it read. */
function asGo({ enabled, disabled }: PluginSet = {}) {
  const list = (plugins: readonly PluginChoice[] | undefined) =>
    plugins?.map(({ name, weight = 0 }) => ({ Name: name, Weight: weight })) ?? null;
  return { Enabled: list(enabled), Disabled: list(disabled) };
}

function validateLeaderElection(given: LeaderElectionConfiguration): FieldError[] {
  const { leaderElect = true } = given;
  const leaseDuration = given.leaseDuration || 15_000;
  const renewDeadline = given.renewDeadline || 10_000;
  const retryPeriod = given.retryPeriod || 2_000;
  const resourceLock = given.resourceLock || "leases";
  if (!leaderElect) return [];
  const problems: FieldError[] = [];
  const path = FieldPath.root("leaderElection");
  const print = (ms: number) => `${ms / 1000}s`;
  const reject = (field: string, value: unknown, message: string) =>
    problems.push(fieldError.invalid(path.child(field), value, message));
  for (const [field, value] of Object.entries({ leaseDuration, renewDeadline, retryPeriod })) {
    if (value <= 0) reject(field, print(value), "must be greater than zero");
  }
  if (leaseDuration <= renewDeadline)
    reject("leaseDuration", print(renewDeadline), "must be greater than `RenewDeadline`");
  if (resourceLock !== "leases") reject("resourceLock", resourceLock, 'resourceLock value must be "leases"');
  return problems;
}

function validateExtenders(extenders: readonly ExtenderConfiguration[]): FieldError[] {
  const problems: FieldError[] = [];
  const root = FieldPath.root("extenders");
  const managed = new Set<string>();
  for (const [index, { prioritizeVerb, weight = 0, managedResources = [] }] of extenders.entries()) {
    const path = root.index(index);
    if (prioritizeVerb && weight <= 0) {
      problems.push(fieldError.invalid(path.child("weight"), weight, "must have a positive weight applied to it"));
    }
    for (const [position, { name }] of managedResources.entries()) {
      const at = path.child("managedResources").index(position).child("name");
      const messages = isQualifiedName(name);
      if (messages.length === 0 && !isExtended(name)) messages.push("is an invalid extended resource name");
      if (managed.has(name)) messages.push("duplicate extender managed resource name");
      managed.add(name);
      problems.push(...messages.map((message) => fieldError.invalid(at, name, message)));
    }
  }
  const binders = extenders.filter(({ bindVerb }) => bindVerb).length;
  if (binders > 1) {
    const found = `found ${binders} extenders implementing bind`;
    problems.push(fieldError.invalid(root, found, "only one extender can implement bind"));
  }
  return problems;
}

const prepared = ["preFilter", "filter"] as const;
const scored = ["preScore", "score"] as const;
const both = [...prepared, ...scored];
/** Where each rule acts upstream, in its usual order, which is that of a profile. */
const extensions: Readonly<Record<string, readonly Point[]>> = {
  SchedulingGates: ["preEnqueue"],
  PrioritySort: ["queueSort"],
  NodeUnschedulable: ["filter"],
  NodeName: ["filter"],
  TaintToleration: ["filter", ...scored],
  NodeAffinity: both,
  NodePorts: prepared,
  NodeResourcesFit: both,
  VolumeRestrictions: prepared,
  NodeVolumeLimits: prepared,
  VolumeBinding: [...both, "reserve", "preBind"],
  VolumeZone: prepared,
  PodTopologySpread: both,
  InterPodAffinity: both,
  DynamicResources: ["preEnqueue", ...prepared, "postFilter", "score", "reserve", "preBind"],
  DefaultPreemption: ["preEnqueue", "postFilter"],
  NodeResourcesBalancedAllocation: scored,
  ImageLocality: ["score"],
  DefaultBinder: ["bind"],
  NodeDeclaredFeatures: prepared,
};
const usual: readonly PluginChoice[] = Object.keys(extensions).map((name) => ({
  name,
  ...(weightOf(name) ? { weight: weightOf(name) } : {}),
}));

function weightOf(name: string): number | undefined {
  return defaultProfile.scores.find((rule) => rule.name === name)?.weight;
}

function createProfile(
  { schedulerName = "", plugins = {}, percentageOfNodesToScore }: ProfileFile,
  { args, file, ignored }: { args: PluginArguments; file: File; ignored: readonly string[] },
): Profile {
  const fail = (message: string): never => {
    throw new ConfigurationError(
      `initializing profiles: creating profile for scheduler name ${schedulerName}: ${message}`,
    );
  };
  const problems: FieldError[] = [];
  pluginArguments.NodeResourcesFit.check(args.NodeResourcesFit, FieldPath.none, problems);
  if (problems.length > 0) fail(`initializing plugin "NodeResourcesFit": ${printFieldErrors(problems)}`);
  const everywhere = chooseUsual(plugins.multiPoint ?? {});
  const stranger = everywhere.find(({ name }) => !extensions[name]);
  if (stranger) fail(`PreFilterPlugin "${stranger.name}" does not exist`);
  const at = (point: Point): readonly PluginChoice[] => {
    const { enabled = [], disabled = [] } = plugins[point] ?? {};
    const seen = new Set<string>();
    for (const { name } of enabled) {
      const own = extensions[name];
      if (!own) return fail(`${points[point]} "${name}" does not exist`);
      if (!own.includes(point)) return fail(`plugin "${name}" does not extend ${points[point]} plugin`);
      if (seen.has(name)) return fail(`plugin "${name}" already registered as "${points[point]}"`);
      seen.add(name);
    }
    if (disabled.some(({ name }) => name === "*")) return enabled;
    const isOff = (name: string) => disabled.some((each) => each.name === name);
    const spread = everywhere.filter(({ name }) => extensions[name]?.includes(point) && !isOff(name));
    const isSpread = ({ name }: PluginChoice) => spread.some((each) => each.name === name);
    // Those given here that are usual as well come first.
    return [
      ...enabled.filter(isSpread),
      ...spread.filter(({ name }) => !seen.has(name)),
      ...enabled.filter((each) => !isSpread(each)),
    ];
  };
  const sorters = at("queueSort").length;
  if (sorters !== 1) {
    fail(`only one queue sort plugin required for profile with scheduler name "${schedulerName}", but got ${sorters}`);
  }
  if (at("bind").length === 0)
    fail(`at least one bind plugin is needed for profile with scheduler name "${schedulerName}"`);
  const fit = ignored.length > 0 ? { ...args.NodeResourcesFit, ignoredResources: ignored } : args.NodeResourcesFit;
  const all = createPlugins({ ...args, NodeResourcesFit: fit });
  return {
    schedulerName,
    filters: at("filter").flatMap(({ name }) => findRule<FilterPlugin>(all.filters, name)),
    scores: at("score").flatMap(({ name, weight }) =>
      // 0 is "not said" upstream.
      findRule<ScorePlugin>(all.scores, name).map((rule) => ({ ...rule, weight: weight || 1 })),
    ),
    preempts: at("postFilter").some(({ name }) => name === "DefaultPreemption"),
    candidates: args.DefaultPreemption,
    bindTimeoutMs: args.VolumeBinding.bindTimeoutSeconds * 1000,
    percentageOfNodesToScore: percentageOfNodesToScore ?? file.percentageOfNodesToScore,
  };
}

/** The usual ones, in their order, less the disabled; what is enabled replaces its namesake or comes last. */
function chooseUsual({ enabled = [], disabled = [] }: PluginSet): readonly PluginChoice[] {
  const isOff = (name: string) => disabled.some((each) => each.name === "*" || each.name === name);
  const kept = usual.filter(({ name }) => !isOff(name));
  const asked = new Map(enabled.map((each) => [each.name, each]));
  return [
    ...kept.map((rule) => asked.get(rule.name) ?? rule),
    ...enabled.filter(({ name }) => !kept.some((rule) => rule.name === name)),
  ];
}

/** None when the rule doesn't do this kind of work here. */
function findRule<T extends { readonly name: string }>(rules: readonly T[], name: string): T[] {
  const rule = rules.find((each) => each.name === name);
  return rule ? [rule] : [];
}
