/** The variables of a container, in upstream's order of precedence: services, envFrom, env. */
import { type DownwardContext, fieldValue, resourceValue } from "./downward.ts";
import { expand } from "./expansion.ts";
import type { ContainerSpec, PodView } from "./types.ts";

/** Reads of other objects; a missing object is undefined, an unreachable API rejects. */
export interface EnvSources {
  configMap(name: string): Readonly<Record<string, string>> | undefined;
  /** Decoded values. */
  secret(name: string): Readonly<Record<string, string>> | undefined;
}

export interface EnvInput extends DownwardContext {
  readonly services: ReadonlyMap<string, string>;
  readonly sources: EnvSources;
}

export interface ContainerEnv {
  readonly variables: ReadonlyMap<string, string>;
  /** Keys of envFrom sources that can't be names, for an event. */
  readonly skipped: readonly { readonly source: string; readonly keys: readonly string[] }[];
}

/** Throws when a source that isn't optional is missing; the message is what people see. */
export function containerEnv(pod: PodView, container: ContainerSpec, input: EnvInput): ContainerEnv {
  const { namespace } = pod.metadata;
  const own = new Map<string, string>();
  const skipped: { source: string; keys: string[] }[] = [];
  for (const { prefix = "", configMapRef, secretRef } of container.envFrom ?? []) {
    const reference = configMapRef ?? secretRef;
    if (!reference) continue;
    const name = reference.name ?? "";
    const values = configMapRef ? input.sources.configMap(name) : input.sources.secret(name);
    if (!values) {
      if (reference.optional) continue;
      throw new Error(`${configMapRef ? "configmap" : "secret"} ${JSON.stringify(name)} not found`);
    }
    const bad: string[] = [];
    for (const [key, value] of Object.entries(values)) {
      if (isVariableName(prefix + key)) own.set(prefix + key, value);
      else bad.push(key);
    }
    if (bad.length > 0)
      skipped.push({ source: `${configMapRef ? "configMap" : "secret"} ${namespace}/${name}`, keys: bad.sort() });
  }
  const lookUp = (name: string) => own.get(name) ?? input.services.get(name);
  for (const { name, value, valueFrom } of container.env ?? []) {
    const found = valueFrom ? valueOfSource(pod, container, { valueFrom, input }) : expand(value ?? "", lookUp);
    if (found !== undefined) own.set(name, found);
  }
  for (const [name, value] of input.services) if (!own.has(name)) own.set(name, value);
  return { variables: own, skipped };
}

type EnvSource = NonNullable<NonNullable<ContainerSpec["env"]>[number]["valueFrom"]>;

/** Undefined: optional and missing, so the variable isn't set. */
function valueOfSource(
  pod: PodView,
  container: ContainerSpec,
  { valueFrom, input }: { valueFrom: EnvSource; input: EnvInput },
): string | undefined {
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef } = valueFrom;
  if (fieldRef) return fieldValue(pod, fieldRef.fieldPath, input);
  if (resourceFieldRef) return resourceValue(pod, resourceFieldRef, { container, allocatable: input.allocatable });
  const reference = configMapKeyRef ?? secretKeyRef;
  if (!reference) return "";
  const [kind, plural] = configMapKeyRef ? ["ConfigMap", "configmap"] : ["Secret", "secret"];
  const name = reference.name ?? "";
  const values = configMapKeyRef ? input.sources.configMap(name) : input.sources.secret(name);
  if (!values) {
    if (reference.optional) return undefined;
    throw new Error(`${plural} ${JSON.stringify(name)} not found`);
  }
  const value = values[reference.key];
  if (value !== undefined || reference.optional) return value;
  throw new Error(`couldn't find key ${reference.key} in ${kind} ${pod.metadata.namespace}/${name}`);
}

/** Any printable ASCII but `=` (upstream since 1.34; earlier only letters, digits, `-`, `_` and `.`). */
const isVariableName = (name: string): boolean => /^[\x20-\x3c\x3e-\x7e]+$/.test(name);

/** Command and arguments with the container's variables filled in. */
export function expandCommand(
  container: ContainerSpec,
  variables: ReadonlyMap<string, string>,
): { command: string[]; args: string[] } {
  const fill = (text: string) => expand(text, (name) => variables.get(name));
  return { command: (container.command ?? []).map(fill), args: (container.args ?? []).map(fill) };
}

/** Probes run without the container's variables, except the constant ones. */
export function expandStatic(command: readonly string[], container: ContainerSpec): string[] {
  const constant = new Map(
    (container.env ?? []).flatMap(({ name, value, valueFrom }) => (valueFrom ? [] : [[name, value ?? ""]])),
  );
  return command.map((text) => expand(text, (name) => constant.get(name)));
}
