/**
 * OpenAPI documents in the protobuf form that kubectl and client-go ask for (`proto-openapi.spec.v2@v1.0+protobuf`, `…v3…`).
 * The messages are those of gnostic: a fixed shape for each part of a document, and YAML text for extensions and free values.
 * Written by a small table-driven encoder: each message lists its fields with number and way of encoding.
 */
import type { Json } from "./schemas.ts";

type Encode = (value: unknown) => Buffer[];
/** JSON key to the encoder of the whole field, tag included. */
type Message = Readonly<Record<string, Encode>>;

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  bytes.push(rest);
  return Buffer.from(bytes);
}

const lengthDelimited = (number: number, content: Buffer): Buffer[] => [
  varint(number * 8 + 2),
  varint(content.length),
  content,
];

const text =
  (number: number): Encode =>
  (value) =>
    lengthDelimited(number, Buffer.from(String(value)));
const texts =
  (number: number): Encode =>
  (value) =>
    [value].flat().flatMap(text(number));
const flag =
  (number: number): Encode =>
  (value) =>
    value === true ? [varint(number * 8), varint(1)] : [];
const integer =
  (number: number): Encode =>
  (value) => [varint(number * 8), varint(Number(value))];
const part =
  (number: number, encode: (value: unknown) => Buffer): Encode =>
  (value) =>
    lengthDelimited(number, encode(value));
const parts =
  (number: number, encode: (value: unknown) => Buffer): Encode =>
  (value) =>
    (value as unknown[]).flatMap((each) => lengthDelimited(number, encode(each))); // the document's own lists

/** gnostic's `Any` with its YAML half: JSON is YAML. */
const any = (value: unknown) => Buffer.concat(text(2)(`${JSON.stringify(value)}\n`));

/** A map as repeated `{ name = 1, value = 2 }`. */
const named =
  (number: number, encode: (value: unknown) => Buffer): Encode =>
  (value) =>
    Object.entries(value as Json).flatMap(([name, each]) =>
      lengthDelimited(number, Buffer.concat([...text(1)(name), ...lengthDelimited(2, encode(each))])),
    );

/** Keys in the order of the document; `x-…` go to `extensions`, keys that aren't listed to `others`. */
function message(fields: Message, options: { extensions: number; others?: Encode }): (value: unknown) => Buffer {
  const extension = named(options.extensions, any);
  return (value) => {
    const out: Buffer[] = [];
    for (const [key, each] of Object.entries(value as Json)) {
      const encode = fields[key];
      if (encode) out.push(...encode(each));
      else if (key.startsWith("x-")) out.push(...extension({ [key]: each }));
      else if (options.others) out.push(...options.others({ [key]: each }));
    }
    return Buffer.concat(out);
  };
}

const wrapped = (number: number, encode: (value: unknown) => Buffer) => (value: unknown) =>
  Buffer.concat(lengthDelimited(number, encode(value)));

export interface DocumentMessages {
  /** Everything but the two large maps. */
  readonly document: (rest: unknown) => Buffer;
  readonly paths: MapMessage;
  readonly schemas: MapMessage;
}

/** A map of named members somewhere within the document. */
export interface MapMessage {
  /** Field numbers from the document down to the repeated member. */
  readonly numbers: readonly number[];
  readonly encode: (value: unknown) => Buffer;
}

/** One member `{ name = 1, value = 2 }` of such a map. */
export const encodeMember = ({ numbers, encode }: MapMessage, [name, value]: readonly [string, unknown]): Buffer =>
  Buffer.concat(named(numbers.at(-1) ?? 0, encode)({ [name]: value }));

/** The map around its encoded members. */
export const encodeMap = ({ numbers }: MapMessage, members: readonly Buffer[]): Buffer =>
  numbers
    .slice(0, -1)
    .reduceRight((content, number) => Buffer.concat(lengthDelimited(number, content)), Buffer.concat(members));

// --- version 2 ---

const schemaV2 = (value: unknown): Buffer => schemaMessageV2(value);
const schemaMessageV2 = message(
  {
    $ref: text(1),
    format: text(2),
    title: text(3),
    description: text(4),
    default: part(5, any),
    pattern: text(13),
    uniqueItems: flag(16),
    required: texts(19),
    enum: parts(20, any),
    additionalProperties: part(21, (value) =>
      typeof value === "boolean" ? Buffer.concat(flag(2)(value)) : wrapped(1, schemaV2)(value),
    ),
    type: part(22, (value) => Buffer.concat(texts(1)(value))),
    items: part(23, wrapped(1, schemaV2)),
    allOf: parts(24, schemaV2),
    properties: part(25, (value) => Buffer.concat(named(1, schemaV2)(value))),
  },
  { extensions: 31 },
);

const bodyParameterV2 = message(
  { description: text(1), name: text(2), in: text(3), required: flag(4), schema: part(5, schemaV2) },
  { extensions: 6 },
);
const pathParameterV2 = message(
  { required: flag(1), in: text(2), description: text(3), name: text(4), type: text(5), uniqueItems: flag(18) },
  { extensions: 22 },
);
const queryParameterV2 = message(
  { required: flag(1), in: text(2), description: text(3), name: text(4), type: text(6), uniqueItems: flag(19) },
  { extensions: 23 },
);

/** ParametersItem{parameter=1: Parameter{body=1 | non_body=2{query=3 | path=4}}} */
function parameterV2(value: unknown): Buffer {
  const place = (value as Json).in;
  const parameter =
    place === "body"
      ? wrapped(1, bodyParameterV2)(value)
      : wrapped(2, place === "path" ? wrapped(4, pathParameterV2) : wrapped(3, queryParameterV2))(value);
  return Buffer.concat(lengthDelimited(1, parameter));
}

const responseV2 = message({ description: text(1), schema: part(2, wrapped(1, schemaV2)) }, { extensions: 5 });
const responsesV2 = message({}, { extensions: 2, others: named(1, wrapped(1, responseV2)) });
const operationV2 = message(
  {
    tags: texts(1),
    description: text(3),
    operationId: text(5),
    produces: texts(6),
    consumes: texts(7),
    parameters: parts(8, parameterV2),
    responses: part(9, responsesV2),
    schemes: texts(10),
  },
  { extensions: 13 },
);
const pathItemV2 = message(
  {
    get: part(2, operationV2),
    put: part(3, operationV2),
    post: part(4, operationV2),
    delete: part(5, operationV2),
    patch: part(8, operationV2),
    parameters: parts(9, parameterV2),
  },
  { extensions: 10 },
);

/** openapi.v2.Document: its fields, and what the members of its maps are made of. */
export const messagesV2: DocumentMessages = {
  document: message(
    { swagger: text(1), info: part(2, message({ title: text(1), version: text(2) }, { extensions: 7 })) },
    { extensions: 16 },
  ),
  paths: { numbers: [8, 2], encode: pathItemV2 },
  schemas: { numbers: [9, 1], encode: schemaV2 },
};

// --- version 3 ---

/** SchemaOrReference{schema=1 | reference=2{_ref=1}} */
const schemaV3 = (value: unknown): Buffer => {
  const reference = (value as Json).$ref;
  return reference === undefined
    ? wrapped(1, schemaMessageV3)(value)
    : Buffer.concat(lengthDelimited(2, Buffer.concat(text(1)(reference))));
};

/** DefaultType{number=1 | boolean=2 | string=3}; other defaults have no form and are left out, as upstream does. */
function defaultV3(value: unknown): Buffer {
  if (typeof value === "boolean") return Buffer.concat([varint(2 * 8), varint(value ? 1 : 0)]);
  if (typeof value === "string") return Buffer.concat(text(3)(value));
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(Number(value));
  return Buffer.concat([varint(1 * 8 + 1), bytes]);
}

const schemaMessageV3: (value: unknown) => Buffer = message(
  {
    nullable: flag(1),
    title: text(9),
    pattern: text(17),
    maxItems: integer(18),
    uniqueItems: flag(20),
    required: texts(23),
    enum: parts(24, any),
    type: text(25),
    allOf: parts(26, (value) => schemaV3(value)),
    oneOf: parts(27, (value) => schemaV3(value)),
    anyOf: parts(28, (value) => schemaV3(value)),
    items: part(30, (value) => Buffer.concat(lengthDelimited(1, schemaV3(value)))),
    properties: part(31, (value) => Buffer.concat(named(1, schemaV3)(value))),
    additionalProperties: part(32, (value) =>
      typeof value === "boolean" ? Buffer.concat(flag(2)(value)) : Buffer.concat(lengthDelimited(1, schemaV3(value))),
    ),
    default: (value) => (typeof value === "object" ? [] : lengthDelimited(33, defaultV3(value))),
    description: text(34),
    format: text(35),
  },
  { extensions: 36 },
);

const mediaTypeV3 = message({ schema: part(1, schemaV3) }, { extensions: 5 });
const mediaTypesV3 = (value: unknown) => Buffer.concat(named(1, mediaTypeV3)(value));
const parameterMessageV3 = message(
  { name: text(1), in: text(2), description: text(3), required: flag(4), schema: part(10, schemaV3) },
  { extensions: 14 },
);
const responseV3 = message({ description: text(1), content: part(3, mediaTypesV3) }, { extensions: 5 });
const bodyV3 = message({ description: text(1), content: part(2, mediaTypesV3), required: flag(3) }, { extensions: 4 });
const operationV3 = message(
  {
    tags: texts(1),
    description: text(3),
    operationId: text(5),
    parameters: parts(6, wrapped(1, parameterMessageV3)),
    requestBody: part(7, wrapped(1, bodyV3)),
    responses: part(8, message({}, { extensions: 3, others: named(2, wrapped(1, responseV3)) })),
  },
  { extensions: 13 },
);
const pathItemV3 = message(
  {
    get: part(4, operationV3),
    put: part(5, operationV3),
    post: part(6, operationV3),
    delete: part(7, operationV3),
    patch: part(10, operationV3),
    parameters: parts(13, wrapped(1, parameterMessageV3)),
  },
  { extensions: 14 },
);

/** openapi.v3.Document */
export const messagesV3: DocumentMessages = {
  document: message(
    { openapi: text(1), info: part(2, message({ title: text(1), version: text(6) }, { extensions: 7 })) },
    { extensions: 9 },
  ),
  paths: { numbers: [4, 1], encode: pathItemV3 },
  schemas: { numbers: [5, 1, 1], encode: schemaV3 },
};
