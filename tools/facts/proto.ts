/**
 * Reads the part of the .proto language that Kubernetes and CRI use: messages, enums, services, maps, oneofs and the
 * `+marker` comments. Descriptions are dropped here, so that they can't get into the facts.
 */
export interface ProtoField {
  readonly name: string;
  readonly number: number;
  readonly repeated: boolean;
  readonly map: boolean;
  /** Scalar name, or a full message or enum name. */
  readonly type: string;
  readonly markers: readonly string[];
  readonly oneof?: string;
}

export interface ProtoMessage {
  readonly package: string;
  readonly name: string;
  readonly fields: readonly ProtoField[];
  readonly markers: readonly string[];
}

export interface ProtoEnum {
  readonly package: string;
  readonly name: string;
  readonly values: ReadonlyMap<string, number>;
}

export interface ProtoMethod {
  readonly name: string;
  readonly request: string;
  readonly response: string;
  readonly serverStream: boolean;
}

export interface ProtoService {
  readonly package: string;
  readonly name: string;
  readonly methods: readonly ProtoMethod[];
}

export interface ProtoFile {
  readonly package: string;
  readonly messages: readonly ProtoMessage[];
  readonly enums: readonly ProtoEnum[];
  readonly services: readonly ProtoService[];
}

const scalars = new Set(["string", "bytes", "bool", "double", "float", "int32", "int64", "uint32", "uint64"]);
const fieldPattern =
  /^(?:(optional|repeated)\s+)?(?:map\s*<\s*string\s*,\s*([\w.]+)\s*>|([\w.]+))\s+(\w+)\s*=\s*(\d+)\s*(?:\[.*\])?;/;

export function parseProto(text: string): ProtoFile {
  const packageName = text.match(/^package ([\w.]+);/m)?.[1] ?? "";
  const messages: { package: string; name: string; fields: ProtoField[]; markers: string[] }[] = [];
  const enums: { package: string; name: string; values: Map<string, number> }[] = [];
  const services: { package: string; name: string; methods: ProtoMethod[] }[] = [];
  let message: (typeof messages)[number] | undefined;
  let enumeration: (typeof enums)[number] | undefined;
  let service: (typeof services)[number] | undefined;
  let oneof: string | undefined;
  let markers: string[] = [];

  const typeName = (name: string): string =>
    scalars.has(name) ? name : name.startsWith(".") ? name.slice(1) : `${packageName}.${name}`;

  for (const line of joinLines(text)) {
    const marker = line.match(/^\/\/ ?\+(.*)$/);
    if (marker?.[1] !== undefined) markers.push(marker[1].trim());
    if (line.startsWith("//") || line === "") continue;
    const open = line.match(/^(message|enum|service)\s+(\w+)\s*\{(\s*\})?/);
    if (open) {
      const name = open[2] ?? "";
      const empty = open[3] !== undefined;
      if (open[1] === "message") {
        const next = { package: packageName, name, fields: [], markers };
        messages.push(next);
        if (!empty) message = next;
      } else if (open[1] === "enum") {
        enumeration = { package: packageName, name, values: new Map() };
        enums.push(enumeration);
      } else {
        service = { package: packageName, name, methods: [] };
        services.push(service);
      }
    } else if (line.startsWith("oneof ")) oneof = line.split(/\s+/)[1];
    else if (line.startsWith("}")) {
      if (oneof !== undefined) oneof = undefined;
      // An enum within a message is given the package's scope: names are unique in what we read.
      else if (enumeration) enumeration = undefined;
      else message = service = undefined;
    } else if (service) {
      const rpc = line.match(/^rpc\s+(\w+)\s*\(\s*([\w.]+)\s*\)\s*returns\s*\(\s*(stream\s+)?([\w.]+)\s*\)/);
      if (rpc)
        service.methods.push({
          name: rpc[1] ?? "",
          request: typeName(rpc[2] ?? ""),
          response: typeName(rpc[4] ?? ""),
          serverStream: rpc[3] !== undefined,
        });
    } else if (enumeration) {
      const value = line.match(/^(\w+)\s*=\s*(-?\d+)/);
      if (value?.[1]) enumeration.values.set(value[1], Number(value[2]));
    } else if (message) {
      const field = line.match(fieldPattern);
      if (field?.[4])
        message.fields.push({
          name: field[4],
          number: Number(field[5]),
          repeated: field[1] === "repeated",
          map: field[2] !== undefined,
          type: typeName(field[2] ?? field[3] ?? ""),
          markers,
          ...(oneof === undefined ? {} : { oneof }),
        });
      else if (!/^(reserved|option)\b/.test(line))
        throw new Error(`${packageName}: no field in ${JSON.stringify(line)}`);
    }
    markers = [];
  }
  return { package: packageName, messages, enums, services };
}

/** A declaration may go over several lines; comments stay lines of their own. */
function* joinLines(text: string): Generator<string> {
  let pending = "";
  for (const raw of text.replaceAll(/\/\*[\s\S]*?\*\//g, "").split("\n")) {
    const line = raw.trim();
    if (pending === "" && (line.startsWith("//") || line === "")) {
      yield line;
      continue;
    }
    pending = `${pending} ${line.replace(/\/\/.*$/, "").trim()}`.trim();
    if (!/[;{}]$/.test(pending)) continue;
    yield pending;
    pending = "";
  }
}
