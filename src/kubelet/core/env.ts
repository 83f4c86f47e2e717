/** The variables of a container, in upstream's order of precedence: services, envFrom, env. */
import { goQuote } from "#machinery";
import { type DownwardContext, fieldValue, resourceValue } from "./downward.ts";
import { expand } from "./expansion.ts";
import type { ContainerSpec, PodView } from "./types.ts";

/** Reads of other objects; a missing object is undefined, an unreachable API rejects. */
export interface EnvSources {
  configMap(name: string): Readonly<Record<string, string>> | undefined;
  /** Decoded values. */
  secret(name: string): Readonly<Record<string, string>> | undefined;
  /** What a file of the pod's volumes sets a key to; "": nothing. Throws when it can't be read. */
  file(reference: FileKey): { readonly value: string; readonly path: string };
}

export type FileKey = NonNullable<EnvSource["fileKeyRef"]>;

export interface EnvInput extends DownwardContext {
  readonly services: ReadonlyMap<string, string>;
  readonly sources: EnvSources;
}

/** Throws when a source that isn't optional is missing; the message is what people see. */
export function containerEnv(pod: PodView, container: ContainerSpec, input: EnvInput): Map<string, string> {
  const own = new Map<string, string>();
  for (const { prefix = "", configMapRef, secretRef } of container.envFrom ?? []) {
    const reference = configMapRef ?? secretRef;
    if (!reference) continue;
    const name = reference.name ?? "";
    const values = configMapRef ? input.sources.configMap(name) : input.sources.secret(name);
    if (!values) {
      if (reference.optional) continue;
      throw new Error(`${configMapRef ? "configmap" : "secret"} ${JSON.stringify(name)} not found`);
    }
    // Any key will do: upstream asks no more what a shell would take as a name.
    for (const [key, value] of Object.entries(values)) own.set(prefix + key, value);
  }
  const lookUp = (name: string) => own.get(name) ?? input.services.get(name);
  for (const { name, value, valueFrom } of container.env ?? []) {
    const found =
      value || !valueFrom ? expand(value ?? "", lookUp) : valueOfSource(pod, container, { valueFrom, input });
    if (found !== undefined) own.set(name, found);
  }
  for (const [name, value] of input.services) if (!own.has(name)) own.set(name, value);
  return own;
}

type EnvSource = NonNullable<NonNullable<ContainerSpec["env"]>[number]["valueFrom"]>;

/** Undefined: optional and missing, so the variable isn't set. */
function valueOfSource(
  pod: PodView,
  container: ContainerSpec,
  { valueFrom, input }: { valueFrom: EnvSource; input: EnvInput },
): string | undefined {
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef, fileKeyRef } = valueFrom;
  if (fieldRef) return fieldValue(pod, fieldRef.fieldPath, input);
  if (resourceFieldRef) return resourceValue(pod, resourceFieldRef, { container, allocatable: input.allocatable });
  if (fileKeyRef) {
    const { value, path } = input.sources.file(fileKeyRef);
    if (value || fileKeyRef.optional) return value || undefined;
    throw new Error(`environment variable key ${goQuote(fileKeyRef.key)} not found in file ${goQuote(path)}`);
  }
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
