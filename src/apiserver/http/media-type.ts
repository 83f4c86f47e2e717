/** What a client wants to get: `Accept`, in its order of preference, against what can be produced. */

export type Format = "json" | "yaml" | "protobuf" | "cbor";

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

/** What comes later is not read: no client names as many types, and patterns must not be fed with a megabyte. */
const headerLengthMax = 16 * 1024;

/** Clauses by falling quality, in the client's order among equals. */
export function parseAccept(header: string): readonly AcceptClause[] {
  return header
    .slice(0, headerLengthMax)
    .split(",")
    .map(parseClause)
    .filter((clause) => clause.type !== "")
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
  return { type, quality: Number.isNaN(quality) ? 1 : quality, parameters };
}

const formats: ReadonlyMap<string, Format> = new Map([
  ["application/json", "json"],
  ["application/yaml", "yaml"],
  ["*/*", "json"],
  ["application/*", "json"],
  ["*", "json"],
  ["application/vnd.kubernetes.protobuf", "protobuf"],
  ["application/cbor", "cbor"],
]);

const textTypes = ["application/json", "application/yaml"];
export const protobufType = "application/vnd.kubernetes.protobuf";
export const cborType = "application/cbor";
/** CBOR items one after the other: its watches. */
export const cborSequenceType = "application/cbor-seq";

/** What a server offers beside JSON and YAML. */
export interface Offers {
  readonly protobuf?: boolean;
  readonly cbor?: boolean;
}

/** What upstream names when nothing fits. */
export function mediaTypesOf({ cbor = false }: Offers): readonly string[] {
  return cbor ? [...acceptedMediaTypes, cborType] : acceptedMediaTypes;
}

export const acceptedMediaTypes: readonly string[] = [...textTypes, protobufType];

const plainJson: MediaType = { format: "json", transform: undefined, pretty: false };

/**
 * The best type that can be produced and whose transform `allows`; undefined: none. Protobuf, if `offered`, only when nothing else of
 * its weight is accepted: the cache holds JSON.
 */
export function negotiate(
  header: string | undefined,
  allows: (transform: Transform, format: Format) => boolean,
  { protobuf = false, cbor = false }: Offers = {},
): MediaType | undefined {
  if (!header || header === "*/*" || header === "application/json") return plainJson;
  let spare: { media: MediaType; quality: number } | undefined;
  for (const { type, quality, parameters } of parseAccept(header)) {
    const format = formats.get(type);
    if (spare && quality < spare.quality) break;
    if (!format || (format === "cbor" && !cbor) || !knownParameters(parameters)) continue;
    const kind = parameters.get("as") ?? "";
    const group = parameters.get("g") ?? "";
    const version = parameters.get("v") ?? "";
    const plain = kind === "" && group === "" && version === "";
    const transform = plain ? undefined : { kind, group, version };
    if (transform ? !allows(transform, format) : format === "protobuf" && !protobuf) continue;
    const media = { format, transform, pretty: parameters.get("pretty") === "1" };
    if (format !== "protobuf") return media;
    spare ??= { media, quality };
  }
  return spare?.media;
}

/** Some stand for things that this version of the API doesn't have, and hide the clause. */
function knownParameters(parameters: ReadonlyMap<string, string>): boolean {
  if (parameters.size === 0) return true;
  return (parameters.get("stream") ?? "watch") === "watch" && (parameters.get("sv") ?? "v1") === "v1";
}

/** Fine for negotiation, but routes don't know them. */
const negotiatedOnly = new Set(["application/*", "*"]);

/** Whether any clause names a type that routes know at all: the router refuses the others before anything else. */
export function isKnownAccept(
  header: string | undefined,
  { cbor = false, sequence = false }: Offers & { readonly sequence?: boolean } = {},
): boolean {
  if (!header || header === "application/json") return true;
  return parseAccept(header).some(
    ({ type }) =>
      (formats.has(type) && !negotiatedOnly.has(type) && (cbor || type !== cborType)) ||
      (sequence && type === cborSequenceType),
  );
}

/** Media type of a body, without parameters; "" when the client says nothing, "unknown" when its parameters can't be read. */
export function contentTypeOf(header: string | undefined): string {
  if (!header) return "";
  const end = header.indexOf(";");
  if (end < 0) return header.trim().toLowerCase();
  if (header.length - end > parametersLengthMax) return "unknown";
  const readable = parameters.test(header.slice(end));
  return (readable && header.slice(0, end).trim().toLowerCase()) || "unknown";
}

/** Of a body's type; the pattern takes quadratic time for long blanks. */
const parametersLengthMax = 1000;

/** As Go's mime package wants them, a last `;` included. */
const parameters = /^(?:\s*;\s*[\w!#$%&'*+.^`|~-]+=(?:[\w!#$%&'*+.^`|~-]+|"(?:[^"\\]|\\.)*"))*\s*;?\s*$/;
