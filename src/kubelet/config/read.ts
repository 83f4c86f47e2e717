/**
 * Reads a KubeletConfiguration from a file, drop-ins (`*.conf`, below a folder, in order of their paths) and flags, each before the one
 * named earlier, as upstream: merged as JSON between shown forms, so that a drop-in's `null` brings a default back. Unknown and repeated
 * fields are warned of and left out, since the version is a beta one.
 */
import { readdir, readFile } from "node:fs/promises";
import { dirname, extname, isAbsolute, join, resolve } from "node:path";
import { printDuration } from "#base";
import {
  ConfigurationError,
  decodeConfiguration,
  mergePatch,
  type ObjectShape,
  parseYamlText,
  type Shape,
  shape,
} from "#machinery";
import { defaultConfiguration, defaultEvictionHard, type KubeletConfiguration } from "./configuration.ts";
import { apiVersion, configurationShape, isDuration, isPlain, isStruct, kind } from "./shape.ts";
import { validateConfiguration } from "./validation.ts";

export interface ConfigurationSources {
  readonly file?: string | undefined;
  /** Folder of drop-ins. */
  readonly dropIns?: string | undefined;
  /** Sets what flags say. Throws ConfigurationError. */
  readonly flags?: (configuration: KubeletConfiguration) => void;
  readonly warn: (message: string) => void;
}

type Json = Record<string, unknown>;

/** Throws ConfigurationError about anything that can't be used. */
export async function readConfiguration({
  file,
  dropIns,
  flags,
  warn,
}: ConfigurationSources): Promise<KubeletConfiguration> {
  let configuration = file === undefined ? defaultConfiguration() : await readOne(file, warn);
  if (dropIns !== undefined) configuration = await mergeDropIns(configuration, dropIns);
  flags?.(configuration);
  const gates = configuration.featureGates;
  const unknown = Object.keys(gates).length > 0 ? (await import("./gate-names.ts")).gateProblems(gates) : [];
  // As upstream, which can't go on without knowing what is on.
  const problems = unknown.length > 0 ? unknown : validateConfiguration(configuration);
  if (problems.length > 0)
    throw new ConfigurationError(`failed to validate kubelet configuration, error: ${aggregate(problems)}`);
  return configuration;
}

const aggregate = (messages: readonly string[]): string =>
  messages.length === 1 ? (messages[0] ?? "") : `[${[...new Set(messages)].join(", ")}]`;

async function readText(path: string, what: string): Promise<string> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    const why = error.code === "ENOENT" ? "no such file or directory" : error.message;
    throw new ConfigurationError(`failed to read ${what} ${JSON.stringify(path)}, error: open ${path}: ${why}`);
  });
  if (text === "") throw new ConfigurationError(`kubelet config file ${JSON.stringify(path)} was empty`);
  return text;
}

async function readOne(file: string, warn: (message: string) => void): Promise<KubeletConfiguration> {
  const path = resolve(file);
  try {
    const text = await readText(path, "kubelet config file");
    const lenient = (error: string) => warn(`Using lenient decoding as strict decoding failed: ${error}`);
    const read = await decode(text, configurationShape().fields, lenient);
    return withAbsolutePaths(withDefaults(read), dirname(path));
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    throw new ConfigurationError(`failed to load Kubelet config file ${path}, error ${error.message}`);
  }
}

/** Of all types: the fields are told by a table. */
type AnyShape = ObjectShape<Record<string, "any">>;

async function decode(text: string, fields: Readonly<Record<string, Shape>>, lenient?: (error: string) => void) {
  try {
    return await decodeConfiguration(text, {
      kind,
      apiVersions: [apiVersion],
      shape: shape(kind, fields) as ObjectShape as AnyShape,
      ...(lenient ? { lenient } : {}),
    });
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    throw new ConfigurationError(`failed to decode: ${error.message}`);
  }
}

/** What isn't given, or as good as not given, as upstream fills it in. */
function withDefaults(read: Json): KubeletConfiguration {
  const filled = fill(read, defaultConfiguration() as unknown as Json) as unknown as KubeletConfiguration; // of that shape, as was checked
  // A node that reports more often than usual also writes more often.
  if (!read.nodeStatusReportFrequency && read.nodeStatusUpdateFrequency)
    filled.nodeStatusReportFrequency = filled.nodeStatusUpdateFrequency;
  if (read.serializeImagePulls == null) filled.serializeImagePulls = !((filled.maxParallelImagePulls ?? 1) > 1);
  if (filled.podPidsLimit < 0) filled.podPidsLimit = -1;
  if (filled.mergeDefaultEvictionSettings) filled.evictionHard = { ...defaultEvictionHard(), ...filled.evictionHard };
  return filled;
}

function fill(read: Json, defaults: Json): Json {
  const entries = Object.entries(defaults).map(([field, standard]) => {
    const value = read[field];
    if (isStruct(field)) return [field, fill((value as Json | undefined) ?? {}, standard as Json)]; // both of that shape
    if (field === "logging") return [field, mergePatch(standard, value ?? {})];
    const isAbsent = value === undefined || value === null || (!value && isPlain(field, value));
    return [field, isAbsent ? standard : value];
  });
  return Object.fromEntries(entries);
}

function withAbsolutePaths(configuration: KubeletConfiguration, folder: string): KubeletConfiguration {
  const paths = [
    "staticPodPath",
    "tlsCertFile",
    "tlsPrivateKeyFile",
    "resolvConf",
    "volumePluginDir",
    "podLogsDir",
  ] as const;
  for (const field of paths)
    if (configuration[field] && !isAbsolute(configuration[field]))
      configuration[field] = resolve(folder, configuration[field]);
  const { x509 } = configuration.authentication;
  if (x509.clientCAFile) x509.clientCAFile = resolve(folder, x509.clientCAFile);
  return configuration;
}

async function mergeDropIns(base: KubeletConfiguration, folder: string): Promise<KubeletConfiguration> {
  const fail = (path: string, what: string) =>
    new ConfigurationError(
      `failed to merge kubelet configs: failed to walk through kubelet dropin directory ${JSON.stringify(folder)}: ${path ? `failed to load kubelet dropin file, path: ${path}, ` : ""}${what}`,
    );
  const names = await readdir(folder, { recursive: true, withFileTypes: true }).catch((error: Error) => {
    throw fail("", error.message);
  });
  const paths = names
    .filter((entry) => !entry.isDirectory() && extname(entry.name) === ".conf")
    .map((entry) => join(entry.parentPath, entry.name))
    .sort(inWalkOrder);
  let merged: unknown = printConfiguration(base);
  for (const path of paths) {
    try {
      // Its fields are looked at when all are merged; a null stays.
      const { value } = await parseYamlText(await readText(path, "drop-in kubelet config file"));
      const { apiVersion: version, kind: given, ...patch } = (value ?? {}) as Json; // a list has neither
      if (!version || !given) throw fail(path, "no apiVersion/kind");
      if (version !== apiVersion || given !== kind)
        throw fail(path, `unknown apiVersion/kind: ${version}, Kind=${given}`);
      merged = mergePatch(merged, patch);
    } catch (error) {
      if (error instanceof ConfigurationError) throw error;
      throw fail(path, `error: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return withDefaults(await decode(JSON.stringify(merged), configurationShape().fields, () => undefined));
}

/** A folder's files where the folder's name is. */
const inWalkOrder = (one: string, other: string): number => {
  const [a, b] = [one.split("/"), other.split("/")];
  const at = a.findIndex((part, index) => part !== b[index]);
  return (a[at] ?? "") < (b[at] ?? "") ? -1 : 1;
};

/** As files and `configz` have it: Go's durations; without plain fields that are zero. */
export function printConfiguration(configuration: Readonly<KubeletConfiguration>): Json {
  return { kind, apiVersion, ...print(configuration as unknown as Json) }; // an object of plain values
}

function print(values: Json): Json {
  const entries = Object.entries(values).flatMap(([field, value]): [string, unknown][] => {
    if (value === undefined) return [];
    if (isDuration(field)) return [[field, printDuration(value as number)]]; // durations are milliseconds
    if (isStruct(field)) return [[field, print(value as Json)]]; // of that shape
    if (!value && isPlain(field, value)) return [];
    const isEmpty = typeof value === "object" && value !== null && Object.keys(value).length === 0;
    if (isEmpty) return [];
    return [[field, value]];
  });
  return Object.fromEntries(entries);
}
