/**
 * A custom kind in one version, over what is stored: in whatever version it was written, by a definition that may have changed since.
 * What is read is first brought up to date in its own version (fields that are gone, new defaults), then converted. What is written is
 * converted and loses what the stored version doesn't know. Follows crdConversionRESTOptionsGetter in customresource_handler.go.
 */
import { cloneJson, DecodeError, type DeepReadonly, type KubernetesObject } from "#machinery";
import { plainError } from "../registry/errors.ts";
import { headOf, type StoredForm } from "../resource.ts";
import type { Converter } from "./converter.ts";
import type { CustomSchema } from "./custom-schema.ts";

export interface FormOptions {
  readonly group: string;
  readonly kind: string;
  /** What it is seen in. */
  readonly version: string;
  readonly storageVersion: string;
  readonly schemas: ReadonlyMap<string, CustomSchema>;
  readonly converter: Converter;
}

type Stored = DeepReadonly<KubernetesObject>;

export function storedForm({ group, kind, version, storageVersion, schemas, converter }: FormOptions): StoredForm {
  const own = `${group}/${version}`;
  const storage = `${group}/${storageVersion}`;
  const schemaOf = (apiVersion: string): CustomSchema | undefined => schemas.get(apiVersion.slice(group.length + 1));
  return {
    version: storageVersion,
    head: headOf(kind, storage),
    read(stored) {
      const fresh = stored.map((object) => schemaOf(object.apiVersion ?? "")?.refreshed(object) ?? object);
      const others = fresh.filter(({ apiVersion }) => apiVersion !== own);
      if (others.length === 0) return fresh;
      const merge = (converted: readonly KubernetesObject[]): Stored[] => {
        let next = 0;
        return fresh.map(
          (object) => (object.apiVersion === own ? object : coerced(converted[next++]!, schemaOf(own))), // one for each other
        );
      };
      const converted = converter(
        others.map((object) => cloneJson(object) as KubernetesObject),
        own,
      );
      return converted instanceof Promise ? converted.then(merge) : merge(converted);
    },
    write(object) {
      const finish = ([converted]: readonly KubernetesObject[]) => coerced(converted!, schemaOf(storage)); // one for each
      const converted = converter([object], storage);
      return converted instanceof Promise ? converted.then(finish) : finish(converted);
    },
    isCurrent: (stored, shown) => stored.apiVersion === storage && (own !== storage || stored === shown),
  };
}

/** To one version, for those who have an object at hand. */
export function conversionTo(apiVersion: string, schema: CustomSchema, converter: Converter) {
  return (object: KubernetesObject): KubernetesObject | Promise<KubernetesObject> => {
    const finish = ([converted]: readonly KubernetesObject[]) => coerced(converted!, schema); // one for each
    const converted = converter([object], apiVersion);
    return converted instanceof Promise ? converted.then(finish) : finish(converted);
  };
}

/** Whatever made it: only what the version knows. */
function coerced(object: KubernetesObject, schema: CustomSchema | undefined): KubernetesObject {
  try {
    schema?.coerce(object);
    return object;
  } catch (error) {
    if (error instanceof DecodeError) throw plainError(error.message);
    throw error;
  }
}
