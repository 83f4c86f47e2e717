/** The object types that an environment knows, by name. */

import type { DeclType } from "./decl-type.ts";
import { reservedWords } from "./escape.ts";
import type { StructType } from "./struct-type.ts";
import { type CelType, objectType, typeOfType } from "./types.ts";

export interface TypeRegistry {
  find(name: string): StructType | undefined;
  /** Types that can be named although they are no objects: `int`, `net.IP`. */
  readonly named: ReadonlyMap<string, CelType>;
}

export interface TypeSources {
  readonly named: ReadonlyMap<string, CelType>;
  readonly declTypes: readonly DeclType[];
  readonly structTypes: readonly StructType[];
  readonly resolveType?: ((name: string) => StructType | undefined) | undefined;
}

export function createTypeRegistry({ named, declTypes, structTypes, resolveType }: TypeSources): TypeRegistry {
  let known: Map<string, StructType> | undefined;
  const load = (): Map<string, StructType> => {
    const found = new Map(structTypes.map((type) => [type.name, type]));
    for (const type of declTypes) addDeclTypes(type, found);
    return found;
  };
  return {
    named,
    find: (name) => {
      known ??= load();
      return resolveType?.(name) ?? known.get(name);
    },
  };
}

function addDeclTypes(type: DeclType, into: Map<string, StructType>): void {
  if (type.element) addDeclTypes(type.element, into);
  const { fields, name } = type;
  if (!fields || into.has(name)) return;
  // A keyword is an escaped field name that may be written as it is.
  const field = (key: string): CelType | undefined =>
    (fields.get(key) ?? (reservedWords.has(key) ? fields.get(`__${key}__`) : undefined))?.celType;
  into.set(name, { name, field });
  for (const child of fields.values()) addDeclTypes(child, into);
}

/** What the name of an object type is as a variable: `type(Object)`. */
export const typeVariable = (type: StructType): CelType => typeOfType(objectType(type.name));
