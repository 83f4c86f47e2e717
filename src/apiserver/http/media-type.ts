/** What a client wants to get: `Accept`, in its order of preference, against what can be produced. */

export type Format = "json" | "yaml" | "protobuf";

/** A shape other than the object's own: `as=Table;g=meta.k8s.io;v=v1`. */
export interface Transform {
  readonly kind: string;
  readonly group: string;
  readonly version: string;
}

export interface MediaType {
  readonly format: Format;
  readonly transform: Transform | undefined;
  readonly pretty: boolean;
}

export interface AcceptClause {
  readonly type: string;
  readonly quality: number;
  readonly parameters: ReadonlyMap<string, string>;
}

/** Clauses by falling quality, in the client's order among equals. */
export function parseAccept(header: string): readonly AcceptClause[] {
  return header
    .split(",")
    .map(parseClause)
    .filter((clause) => clause.type !== "" && clause.quality > 0)
    .sort((a, b) => b.quality - a.quality);
}

function parseClause(text: string): AcceptClause {
  const [type = "", ...rest] = text.split(";").map((part) => part.trim());
  const parameters = new Map<string, string>();
  for (const part of rest) {
    const equals = part.indexOf("=");
    if (equals <= 0) continue;
    const value = part.slice(equals + 1).trim();
    parameters.set(part.slice(0, equals).trim().toLowerCase(), value.replace(/^"(.*)"$/, "$1"));
  }
  const quality = Number(parameters.get("q") ?? "1");
  return { type: type.toLowerCase(), quality: Number.isNaN(quality) ? 1 : quality, parameters };
}

const formats: ReadonlyMap<string, Format> = new Map([
  ["application/json", "json"],
  ["application/yaml", "yaml"],
  ["*/*", "json"],
  ["application/vnd.kubernetes.protobuf", "protobuf"],
]);

/** What upstream names when nothing fits. */
export const acceptedMediaTypes = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

const plainJson: MediaType = { format: "json", transform: undefined, pretty: false };

/**
 * The best type that can be produced and whose transform `allows`; undefined: none. Protobuf, if `offered`, only when nothing else of
 * its weight is accepted: the cache holds JSON.
 */
export function negotiate(
  header: string | undefined,
  allows: (transform: Transform) => boolean,
  { protobuf = false }: { protobuf?: boolean } = {},
): MediaType | undefined {
  if (!header || header === "*/*" || header === "application/json") return plainJson;
  let spare: { media: MediaType; quality: number } | undefined;
  for (const { type, quality, parameters } of parseAccept(header)) {
    const format = formats.get(type);
    if (spare && quality < spare.quality) break;
    if (!format || (format === "protobuf" && !protobuf)) continue;
    const kind = parameters.get("as") ?? "";
    const group = parameters.get("g") ?? "";
    const version = parameters.get("v") ?? "";
    const plain = kind === "" && group === "" && version === "";
    const transform = plain ? undefined : { kind, group, version };
    const media = { format, transform, pretty: parameters.get("pretty") === "1" };
    if (format === "protobuf") {
      if (plain) spare ??= { media, quality };
    } else if (!transform || allows(transform)) return media;
  }
  return spare?.media;
}

/** Whether any clause names a type that routes know at all: the router refuses the others before anything else. */
export function isKnownAccept(header: string | undefined): boolean {
  if (!header || header === "application/json") return true;
  return parseAccept(header).some(({ type }) => formats.has(type));
}

/** Media type of a body, without parameters; "" when the client says nothing. */
export function contentTypeOf(header: string | undefined): string {
  if (!header) return "";
  const end = header.indexOf(";");
  return (end < 0 ? header : header.slice(0, end)).trim().toLowerCase() || "unknown";
}
