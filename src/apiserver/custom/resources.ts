/**
 * An established definition as resources: one range of keys, seen in each of its versions. All that is made here is small; schemas are
 * read from the definition's bytes when an object of that version comes by.
 */
import type {
  CustomResourceDefinition,
  CustomResourceDefinitionNames,
  CustomResourceDefinitionVersion,
  SubresourceFacts,
} from "#api";
import type { DeepReadonly } from "#machinery";
import type { StoredObject } from "../cache/stored-object.ts";
import { headOf, keyPrefix, type Resource, type StoredKind } from "../resource.ts";
import { behaviourOf } from "./behaviour.ts";
import { converterOf } from "./conversion.ts";
import type { Converter } from "./converter.ts";
import type { ConversionWebhooks } from "./conversion-webhook.ts";
import { CustomSchema } from "./custom-schema.ts";
import { conversionTo, storedForm } from "./stored-form.ts";
import { compareVersions } from "./version-order.ts";

type Definition = DeepReadonly<CustomResourceDefinition>;
type Names = DeepReadonly<CustomResourceDefinitionNames>;
type Version = DeepReadonly<CustomResourceDefinitionVersion>;

export interface CustomKind {
  /** Of the stored version, whether it is served or not: what deletion works with. */
  readonly storage: Resource;
  readonly served: readonly Resource[];
  /** Of all versions. */
  readonly stored: readonly StoredKind[];
}

const verbs = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
/** Of a kind that is going. */
const lastVerbs = ["delete", "deletecollection", "get", "list", "watch"];
const viewVerbs = ["get", "patch", "update"];

/** The newest revision of a definition whose spec is that of the kind: another would be kept for its schemas alone. */
export interface DefinitionSource {
  object: StoredObject;
}

export function customKind(source: DefinitionSource, names: Names, webhooks: ConversionWebhooks): CustomKind {
  const definition = withoutSchemas(source.object.glance() as Definition); // of that kind
  const { spec } = definition;
  const preserve = spec.preserveUnknownFields === true;
  const schemas = new Map<string, CustomSchema>();
  spec.versions.forEach(({ name }, index) => {
    const read = () =>
      (source.object.parse() as CustomResourceDefinition).spec.versions[index]?.schema?.openAPIV3Schema;
    const title = `${spec.group}.${name}.${spec.names.kind}`;
    schemas.set(name, new CustomSchema(title, read, preserve));
  });
  const storageVersion = spec.versions.find(({ storage }) => storage) ?? spec.versions[0]!; // validated: there is one
  const converter = converterOf(definition, webhooks);
  const building: Building = { definition, names, schemas, storageVersion, converter };
  const all = spec.versions.map((version) => resourceOf(building, version));
  const storage = all.find(({ version }) => version === storageVersion.name)!; // among them
  const served = all.filter((_, i) => spec.versions[i]?.served);
  return { storage, served, stored: all.map(({ stored }) => stored!) }; // custom kinds are stored
}

/** What is kept as long as the kind is served: schemas are most of a definition. */
export const withoutSchemas = ({
  metadata: { managedFields: _, ...metadata },
  ...definition
}: Definition): Definition => ({
  ...definition,
  metadata,
  spec: { ...definition.spec, versions: definition.spec.versions.map(({ schema: _, ...version }) => version) },
});

/** The same while its definition is going: nothing new, nothing changed. */
export const terminating = (kind: CustomKind): CustomKind => ({
  ...kind,
  served: kind.served.map((resource) => ({
    ...resource,
    verbs: lastVerbs,
    ...(resource.custom && { custom: { ...resource.custom, terminating: true } }),
  })),
});

interface Building {
  readonly definition: Definition;
  readonly names: Names;
  readonly schemas: ReadonlyMap<string, CustomSchema>;
  readonly storageVersion: Version;
  readonly converter: Converter;
}

function resourceOf(building: Building, version: Version): Resource {
  const { definition, names, schemas, storageVersion, converter } = building;
  const { spec } = definition;
  const { group, scope } = spec;
  const { plural, kind } = spec.names;
  const listKind = names.listKind || `${kind}List`;
  const schema = schemas.get(version.name)!; // made for each
  const groupVersion = `${group}/${version.name}`;
  const at = { group, resource: plural };
  const shared = { ...at, kind, listKind, version: version.name, namespaced: scope === "Namespaced" };
  const form = storedForm({
    group,
    kind,
    version: version.name,
    storageVersion: storageVersion.name,
    schemas,
    converter,
  });
  const stored: StoredKind = {
    ...shared,
    apiVersion: groupVersion,
    prefix: `${keyPrefix}${group}/${plural}/`,
    head: headOf(kind, groupVersion),
    behaviour: behaviourOf({ ...at, kind, namespaced: shared.namespaced, version, schema }),
    get schema() {
      return schema.type;
    },
    form,
  };
  return {
    ...shared,
    groupVersion,
    singular: names.singular ?? "",
    verbs,
    shortNames: names.shortNames ?? [],
    categories: names.categories ?? [],
    subresources: subresourcesOf(version, { group, kind }),
    get schema() {
      return schema.type;
    },
    // Its own allocation: a slice of node's shared pool would keep all of that alive.
    head: Buffer.from(new TextEncoder().encode(stored.head).buffer),
    stored,
    itemsHaveKind: true,
    conversion: undefined,
    custom: {
      schema,
      deprecation: deprecationOf(spec, version),
      terminating: false,
      convert: conversionTo(groupVersion, schema, converter),
    },
  };
}

function subresourcesOf({ name, subresources }: Version, { group, kind }: { group: string; kind: string }) {
  const found: SubresourceFacts[] = [];
  if (subresources?.status) found.push({ name: "status", group, version: name, kind, verbs: viewVerbs });
  if (subresources?.scale) {
    found.push({ name: "scale", group: "autoscaling", version: "v1", kind: "Scale", verbs: viewVerbs });
  }
  return found;
}

function deprecationOf({ group, names, versions }: Definition["spec"], version: Version): string | undefined {
  if (!version.deprecated) return undefined;
  if (version.deprecationWarning !== undefined) return version.deprecationWarning;
  const what = `${group}/${version.name} ${names.kind} is deprecated`;
  const [newer] = versions
    .filter(({ name, served, deprecated }) => served && !deprecated && compareVersions(name, version.name) < 0)
    .map(({ name }) => name)
    .sort(compareVersions);
  return newer === undefined ? what : `${what}; use ${group}/${newer} ${names.kind}`;
}
