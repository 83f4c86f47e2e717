/**
 * `sampan convert`: objects from one media type and version into another, without a server. Reads what Kubernetes 1.0 wrote, too.
 * Nothing is lost on the way: a field that the version doesn't know is an error, not a gap. Nothing is added either but the
 * empty structs that upstream prints: no defaults.
 */
import { facts, type Kind, kinds, splitGroupVersion } from "#api";
import {
  createProtobufCodec,
  decodeEnvelope,
  decodeValue,
  isProtobufEnvelope,
  type KubernetesObject,
  parseYamlText,
  ProtobufError,
  StatusError,
} from "#machinery";
import { fromFirstRelease, OldObjectError } from "./first-release.ts";

export type Format = "json" | "yaml" | "protobuf";
export type Manifest = KubernetesObject & Record<string, unknown>;

/** Something in the input, or in what was asked for, that a person has to change. */
export class ConvertError extends Error {
  override name = "ConvertError";
}

const codec = createProtobufCodec("kubernetes");

/** All objects of a file; lists are taken apart. `name` stands in messages. Throws ConvertError. */
export async function readManifests(bytes: Uint8Array, name: string): Promise<Manifest[]> {
  const found: Manifest[] = [];
  if (isProtobufEnvelope(bytes)) return flatten(decode(readProtobuf(bytes, name), name));
  const documents = new TextDecoder().decode(bytes).split(/^---(?:[ \t].*)?$/m);
  for (const [index, document] of documents.entries()) {
    const at = documents.length > 1 ? `${name}, document ${index + 1}` : name;
    const value = await readYaml(document, at);
    if (value !== undefined && value !== null) found.push(...flatten(decode(value, at)));
  }
  if (found.length === 0) throw new ConvertError(`${name}: holds no object`);
  return found;
}

/** JSON is YAML; its own parser has the better words for what is wrong with it. */
async function readYaml(text: string, at: string): Promise<unknown> {
  try {
    if (/^\s*[{[]/.test(text)) JSON.parse(text);
    const { value, duplicates } = await parseYamlText(text);
    if (duplicates.length > 0) throw new ConvertError(`${at}: ${duplicates.join("; ")}`);
    return value;
  } catch (error) {
    if (error instanceof ConvertError) throw error;
    throw new ConvertError(`${at}: ${(error as Error).message}`);
  }
}

function readProtobuf(bytes: Uint8Array, name: string): unknown {
  try {
    const { apiVersion, kind, raw } = decodeEnvelope(bytes);
    const type = facts.typeOf(apiVersion, kind);
    if (!type)
      throw new ConvertError(`${name}: no kind ${JSON.stringify(kind)} in version ${JSON.stringify(apiVersion)}`);
    return { ...codec.decode(type, raw), apiVersion, kind };
  } catch (error) {
    if (error instanceof ProtobufError) throw new ConvertError(`${name}: ${error.message}`);
    throw error;
  }
}

/** Held to its type: unknown and repeated fields are refused. */
function decode(value: unknown, at: string): Manifest {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new ConvertError(
      `${at}: want an object with apiVersion and kind, have ${JSON.stringify(value)?.slice(0, 60)}`,
    );
  try {
    const object = fromFirstRelease(value as Record<string, unknown>); // a parsed object
    const { apiVersion, kind } = object;
    if (typeof apiVersion !== "string" || typeof kind !== "string" || !apiVersion || !kind)
      throw new ConvertError(`${at}: apiVersion and kind must say what it is`);
    if (!facts.typeOf(apiVersion, kind))
      throw new ConvertError(`${at}: no kind ${JSON.stringify(kind)} in version ${JSON.stringify(apiVersion)}`);
    return decodeValue(object, {
      mediaType: "application/json",
      expected: { apiVersion, kind },
      schemaOf: facts.typeOf,
      fieldValidation: "Strict",
    }).object;
  } catch (error) {
    if (error instanceof StatusError || error instanceof OldObjectError)
      throw new ConvertError(`${at}: ${error.message}`);
    throw error;
  }
}

function flatten(object: Manifest): Manifest[] {
  if (!object.kind?.endsWith("List") || !Array.isArray(object.items)) return [object];
  const { apiVersion, kind } = object;
  return (object.items as Manifest[]).flatMap((item, index) => {
    const named = kind === "List" ? item : { ...item, apiVersion, kind: kind?.slice(0, -"List".length) };
    return flatten(decode(named, `items[${index}]`));
  });
}

/** Into this version where its group has the kind; undefined: the version that is stored. Throws ConvertError. */
export function toVersion(object: Manifest, wanted: string | undefined): Manifest {
  const { apiVersion = "", kind = "" } = object;
  const from = facts.resourceOfKind(apiVersion, kind);
  const behaviour =
    from && kinds.find(({ resource, group }) => resource === from.plural && sameKind(group, from.group));
  if (!from || !behaviour) {
    if (wanted === undefined || wanted === apiVersion) return object;
    throw new ConvertError(`${kind} of ${apiVersion} has no other version`);
  }
  const stored = printGroupVersion(behaviour.group, behaviour.storageVersion);
  const target = wanted ?? (from.group === behaviour.group ? stored : apiVersion);
  if (target === apiVersion) return object;
  const to = facts.resourceOfKind(target, kind);
  if (!to?.servedByDefault || !sameKind(behaviour.group, to.group))
    throw new ConvertError(
      `${kind} of ${apiVersion} has no version ${JSON.stringify(target)}; it has ${versionsOf(behaviour)}`,
    );
  const { convert } = behaviour;
  const version = (of: string) => splitGroupVersion(of).version;
  let converted: KubernetesObject = object;
  if (convert && apiVersion !== stored) converted = convert.toStorage(converted, version(apiVersion));
  if (convert && target !== stored) converted = convert.fromStorage(converted, version(target));
  return { ...converted, apiVersion: target, kind };
}

const printGroupVersion = (group: string, version: string) => (group === "" ? version : `${group}/${version}`);

/** Events are in two groups. */
const sameKind = (group: string, other: string) => group === other || (group === "" && other === "events.k8s.io");

const versionsOf = ({ group, resource }: Kind): string =>
  facts
    .resources()
    .filter((each) => each.plural === resource && sameKind(group, each.group) && each.servedByDefault)
    .map(({ groupVersion }) => groupVersion)
    .join(", ");

/** Several objects become a `List`. */
export async function print(objects: readonly Manifest[], format: Format): Promise<Uint8Array> {
  const [first] = objects;
  const object: Manifest =
    objects.length === 1 && first
      ? first
      : { apiVersion: "v1", kind: "List", metadata: {}, items: objects as Manifest[] };
  const ordered = { apiVersion: object.apiVersion, kind: object.kind, ...object };
  if (format === "json") return Buffer.from(`${JSON.stringify(ordered, undefined, 4)}\n`);
  if (format === "yaml") {
    const { stringify } = await import("yaml");
    return Buffer.from(stringify(ordered, { version: "1.1", lineWidth: 0, aliasDuplicateObjects: false }));
  }
  const type = facts.typeOf(object.apiVersion ?? "", object.kind ?? "");
  if (!type) throw new ConvertError(`${object.kind} of ${object.apiVersion} has no form in protobuf`);
  try {
    return codec.encodeObject(type, ordered);
  } catch (error) {
    if (error instanceof ProtobufError) throw new ConvertError(error.message);
    throw error;
  }
}
