/**
 * An established definition as resources: one stored kind, seen in each of its versions. All that is made here is small; schemas are
 * read from the definition's bytes when an object of that version comes by.
 */
import type {
  CustomResourceDefinition,
  CustomResourceDefinitionNames,
  CustomResourceDefinitionVersion,
  SubresourceFacts,
} from "#api";
import { cloneJson, type DeepReadonly, jsonEqual, type KubernetesObject } from "#machinery";
import type { StoredObject } from "../cache/stored-object.ts";
import { type Conversion, headOf, keyPrefix, type Resource, type StoredKind } from "../resource.ts";
import { behaviourOf } from "./behaviour.ts";
import { CustomSchema } from "./custom-schema.ts";
import { compareVersions } from "./version-order.ts";

type Definition = DeepReadonly<CustomResourceDefinition>;
type Names = DeepReadonly<CustomResourceDefinitionNames>;
type Version = DeepReadonly<CustomResourceDefinitionVersion>;

export interface CustomKind {
  /** Of the stored version: what caches and deletion work with. */
  readonly stored: StoredKind;
  /** Of the stored version too, whether it is served or not. */
  readonly storage: Resource;
  readonly served: readonly Resource[];
}

const verbs = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
/** Of a kind that is going. */
const lastVerbs = ["delete", "deletecollection", "get", "list", "watch"];
const viewVerbs = ["get", "patch", "update"];

export function customKind(object: StoredObject, names: Names): CustomKind {
  const definition = withoutSchemas(object.glance() as Definition); // of that kind
  const { spec } = definition;
  const preserve = spec.preserveUnknownFields === true;
  const schemas = new Map<string, CustomSchema>();
  spec.versions.forEach(({ name }, index) => {
    const read = () => (object.parse() as CustomResourceDefinition).spec.versions[index]?.schema?.openAPIV3Schema;
    const title = `${spec.group}.${name}.${spec.names.kind}`;
    schemas.set(name, new CustomSchema(title, read, preserve));
  });
  const storageVersion = spec.versions.find(({ storage }) => storage) ?? spec.versions[0]!; // validated: there is one
  const building: Building = {
    definition,
    names,
    schemas,
    storageVersion,
    refresh: refresher(definition, schemas, storageVersion),
  };
  const all = spec.versions.map((version) => resourceOf(building, version));
  const storage = all.find(({ version }) => version === storageVersion.name)!; // among them
  const served = all.filter((_, i) => spec.versions[i]?.served);
  return { stored: storage.stored!, storage, served }; // custom kinds are stored
}

/** What is kept as long as the kind is served: schemas are most of a definition. */
export const withoutSchemas = (definition: Definition): Definition => ({
  ...definition,
  spec: { ...definition.spec, versions: definition.spec.versions.map(({ schema: _, ...version }) => version) },
});

/** The same while its definition is going: nothing new, nothing changed. */
export const terminating = (kind: CustomKind): CustomKind => ({
  ...kind,
  served: kind.served.map((resource) => ({ ...resource, verbs: lastVerbs })),
});

interface Building {
  readonly definition: Definition;
  readonly names: Names;
  readonly schemas: ReadonlyMap<string, CustomSchema>;
  readonly storageVersion: Version;
  readonly refresh: NonNullable<StoredKind["refresh"]>;
}

function resourceOf(building: Building, version: Version): Resource {
  const { definition, names, schemas, storageVersion, refresh } = building;
  const { spec } = definition;
  const { group, scope } = spec;
  const { plural, kind } = spec.names;
  const listKind = names.listKind || `${kind}List`;
  const schema = schemas.get(version.name)!; // made for each
  const storageSchema = schemas.get(storageVersion.name)!; // the same
  const apiVersion = `${group}/${storageVersion.name}`;
  const groupVersion = `${group}/${version.name}`;
  const conversion = version === storageVersion ? undefined : noneConversion(schema, storageSchema);
  // Nothing is made up: only the webhook knows how these versions differ.
  const unconvertible =
    conversion && spec.conversion?.strategy === "Webhook"
      ? `conversion webhook for ${apiVersion}, Kind=${kind} failed: this server doesn't call conversion webhooks`
      : undefined;
  const at = { group, resource: plural };
  const namespaced = scope === "Namespaced";
  const behaviour = behaviourOf({
    ...at,
    kind,
    storageVersion: storageVersion.name,
    version,
    schema,
    view: (object) => (conversion ? { ...conversion.fromStored(cloneJson(object)), apiVersion: groupVersion } : object),
    selectablePaths: [
      ...new Set(
        spec.versions.flatMap(({ selectableFields = [] }) => selectableFields.map(({ jsonPath }) => jsonPath)),
      ),
    ],
  });
  const stored: StoredKind = {
    ...at,
    kind,
    listKind,
    version: storageVersion.name,
    apiVersion,
    namespaced,
    prefix: `${keyPrefix}${group}/${plural}/`,
    head: headOf(kind, apiVersion),
    behaviour,
    get schema() {
      return storageSchema.type;
    },
    refresh,
  };
  return {
    ...at,
    version: version.name,
    groupVersion,
    singular: names.singular ?? "",
    kind,
    listKind,
    namespaced,
    verbs,
    shortNames: names.shortNames ?? [],
    categories: names.categories ?? [],
    subresources: subresourcesOf(version, { group, kind }),
    get schema() {
      return schema.type;
    },
    head: Buffer.from(headOf(kind, groupVersion)),
    stored,
    itemsHaveKind: true,
    conversion,
    custom: { schema, deprecation: deprecationOf(spec, version), unconvertible },
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

/** Only apiVersion changes; what the other version doesn't know goes. */
const noneConversion = (own: CustomSchema, storage: CustomSchema): Conversion => ({
  toStored(object) {
    storage.prune(object);
    return object;
  },
  fromStored(object) {
    own.prune(object);
    return object;
  },
});

/**
 * What is stored may be older than the definition: of another version, without new defaults, with fields that are gone. It is brought up
 * to date when it comes into the cache, so that reading copies bytes.
 */
function refresher({ spec }: Definition, schemas: Building["schemas"], { name }: Version): Building["refresh"] {
  const storage = schemas.get(name)!; // made for each
  return (object) => {
    const copy = cloneJson(object) as KubernetesObject;
    const version = object.apiVersion?.slice(spec.group.length + 1) ?? name;
    const written = schemas.get(version);
    if (written && written !== storage) {
      written.prune(copy);
      written.applyDefaults(copy);
    }
    storage.prune(copy);
    storage.applyDefaults(copy);
    copy.apiVersion = `${spec.group}/${name}`;
    return jsonEqual(copy, object) ? undefined : copy;
  };
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
