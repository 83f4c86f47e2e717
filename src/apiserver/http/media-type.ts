/**
 * What a client wants to get: `Accept`, in its order of preference, against what can be produced. */

export type Format = "json" | "yaml";

/** A shape other than the object's own: `as=Table;g=meta.k8s.io;v=v1`. */
export interface Transform {
  readonly kind: "Table" | "PartialObjectMetadata" | "PartialObjectMetadataList" | "APIGroupDiscoveryList";
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
    if (equals > 0) parameters.set(part.slice(0, equals).trim().toLowerCase(), part.slice(equals + 1).trim().replace(/^"(.*)"$/, "$1"));
  }
  const quality = Number(parameters.get("q") ?? "1");
  return { type: type.toLowerCase(), quality: Number.isNaN(quality) ? 1 : quality, parameters };
}

const formats: Readonly<Record<string, Format>> = {
  "application/json": "json",
  "application/yaml": "yaml",
  "application/*": "json",
  "*/*": "json",
};

/** What a whole answer can be; protobuf is known to clients, so a header that lists only it is refused in the same words. */
export const acceptedMediaTypes = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/** The best type that can be produced and whose transform `allows`; undefined: none. */
export function negotiate(
  header: string | undefined,
  allows: (transform: Transform) => boolean,
): MediaType | undefined {
  if (header === undefined || header === "" || header === "*/*" || header === "application/json") return plainJson;
  for (const { type, parameters } of parseAccept(header)) {
    const format = formats[type];
    if (!format) continue;
    const as = parameters.get("as");
    const pretty = parameters.get("pretty") === "1";
    if (as === undefined) return { format, transform: undefined, pretty };
    // The header's word becomes a kind only if it is one that `allows` knows.
    const transform = { kind: as as Transform["kind"], group: parameters.get("g") ?? "", version: parameters.get("v") ?? "" };
    if (allows(transform)) return { format, transform, pretty };
  }
  return undefined;
}

const plainJson: MediaType = { format: "json", transform: undefined, pretty: false };

/** Whether any clause asks for a type we know at all: routes refuse the others before anything else. */
export function isKnownAccept(header: string | undefined): boolean {
  if (header === undefined || header === "") return true;
  return parseAccept(header).some(
    ({ type }) => type in formats || type === "application/vnd.kubernetes.protobuf" || type === "application/cbor",
  );
}
