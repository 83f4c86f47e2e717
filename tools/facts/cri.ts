/** The CRI's messages, enums and methods in the same compact form; field names become lowerCamelCase. */
import { printField, printTypes } from "./compact.ts";
import type { ProtoField, ProtoFile } from "./proto.ts";

const scalarTypes: Readonly<Record<string, string>> = {
  string: "string",
  bytes: "bytes",
  bool: "bool",
  int32: "int32",
  int64: "int64",
  uint32: "uint32",
  uint64: "uint64",
  double: "number",
};

const camelCase = (name: string): string =>
  (name.charAt(0).toLowerCase() + name.slice(1)).replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

export function printCriFacts(file: ProtoFile): string {
  const local = (name: string): string => name.slice(file.package.length + 1);
  const typeOf = (field: ProtoField): string => {
    const type = scalarTypes[field.type] ?? local(field.type);
    if (field.map) return `{}${type}`;
    return field.repeated ? `[]${type}` : type;
  };
  const types = new Map(
    file.messages.map((message) => [
      `${message.package}.${message.name}`,
      message.fields.map((field) =>
        printField({
          name: camelCase(field.name),
          required: false,
          number: field.number,
          mode: "",
          type: typeOf(field),
          options: [],
          embedded: false,
        }),
      ),
    ]),
  );
  const enums = file.enums.map(
    ({ name, values }) => `    "${file.package}.${name}": ${JSON.stringify(Object.fromEntries(values))}`,
  );
  const services = file.services.map(({ name, methods }) => {
    const lines = methods.map(
      (method) =>
        `      "${method.name}": ${JSON.stringify([local(method.request), local(method.response), ...(method.serverStream ? ["stream"] : [])])}`,
    );
    return `    "${file.package}.${name}": {\n${lines.join(",\n")}\n    }`;
  });
  return `{
  "services": {
${services.join(",\n")}
  },
  "enums": {
${enums.join(",\n")}
  },
  "types": ${printTypes(types)}
}
`;
}
