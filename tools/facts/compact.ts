/**
 * The textual form of a type in a facts file, one string for a field, so that a change of the API is a one-line diff:
 *
 *   name[!] number[mode] type [option...]      `!` required; number 0: no protobuf form
 *   ...number Type                             an embedded struct: its fields are this type's in JSON, a message in protobuf
 *
 * mode: `*` pointer (absent differs from zero), `~` pointer that is printed as null when absent, `=` zero is printed,
 * nothing: zero is left out.
 * type: string bytes int32 int64 number bool time microtime quantity intstr raw/fieldsv1/... `[]T` `{}T` (map), `[=]T` (a list
 * that protobuf wraps in a message with `items`), or a type name: without a dot of the same package.
 * option: `set`, `map:key,key`, `atomic`, `granular`, `merge[:key]`, `retainKeys`, `replace`, `default:JSON`.
 * The reader is `src/machinery/type-facts.ts`.
 */
export interface CompactField {
  name: string;
  required: boolean;
  number: number;
  mode: "" | "*" | "~" | "=";
  type: string;
  options: string[];
  embedded: boolean;
}

export function printField(field: CompactField): string {
  if (field.embedded) return `...${field.number} ${field.type}`;
  return [
    `${field.name}${field.required ? "!" : ""}`,
    `${field.number}${field.mode}`,
    field.type,
    ...field.options,
  ].join(" ");
}

/** One type a line; packages and names sorted, so that two runs give the same file. */
export function printTypes(types: ReadonlyMap<string, readonly string[]>): string {
  const byPackage = new Map<string, string[]>();
  for (const [name, fields] of [...types].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const cut = name.lastIndexOf(".");
    const home = name.slice(0, cut);
    const lines = byPackage.get(home) ?? [];
    byPackage.set(home, lines);
    lines.push(`      ${JSON.stringify(name.slice(cut + 1))}: ${JSON.stringify(fields)}`);
  }
  const packages = [...byPackage].map(([home, lines]) => `    ${JSON.stringify(home)}: {\n${lines.join(",\n")}\n    }`);
  return `{\n${packages.join(",\n")}\n  }`;
}
