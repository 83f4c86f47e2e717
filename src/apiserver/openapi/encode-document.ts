/**
 * Documents to bytes, piece by piece: that of all kinds has several megabytes, and nobody else may wait for it.
 * A piece is one path or one schema.
 */
import { encodeMap, encodeMember, messagesV2, messagesV3 } from "./gnostic.ts";
import type { Dialect, Json } from "./schemas.ts";

/** Encoding goes on for so long before others have their turn. */
const turnMs = 4;

/** Runs the steps; after each `turnMs` others have their turn. */
export async function inTurns<T>(steps: Iterator<unknown, T>): Promise<T> {
  let started = performance.now();
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    if (performance.now() - started < turnMs) continue;
    await new Promise((resolve) => setImmediate(resolve));
    started = performance.now();
  }
}

/** The large maps within a document; everything else is small. */
function partsOf(document: Json, dialect: Dialect) {
  const { paths, definitions, components, ...rest } = document;
  const schemas = dialect === "v2" ? definitions : (components as Json).schemas;
  return { rest, paths: Object.entries(paths as Json), schemas: Object.entries(schemas as Json) }; // both are maps in every document
}

export function* encodeJson(document: Json, dialect: Dialect): Generator<void, Buffer> {
  const { rest, paths, schemas } = partsOf(document, dialect);
  const out: Buffer[] = [Buffer.from(`${JSON.stringify(rest).slice(0, -1)},"paths":{`)];
  yield* members(paths, out);
  out.push(Buffer.from(dialect === "v2" ? `},"definitions":{` : `},"components":{"schemas":{`));
  yield* members(schemas, out);
  out.push(Buffer.from(dialect === "v2" ? "}}" : "}}}"));
  return Buffer.concat(out);
}

function* members(entries: readonly [string, unknown][], out: Buffer[]): Generator<void> {
  for (const [index, [name, value]] of entries.entries()) {
    out.push(Buffer.from(`${index > 0 ? "," : ""}${JSON.stringify(name)}:${JSON.stringify(value)}`));
    yield;
  }
}

export function* encodeProtobuf(document: Json, dialect: Dialect): Generator<void, Buffer> {
  const messages = dialect === "v2" ? messagesV2 : messagesV3;
  const parts = partsOf(document, dialect);
  const out = [messages.document(parts.rest)];
  for (const part of ["paths", "schemas"] as const) {
    const members: Buffer[] = [];
    for (const entry of parts[part]) {
      members.push(encodeMember(messages[part], entry));
      yield;
    }
    out.push(encodeMap(messages[part], members));
    yield;
  }
  return Buffer.concat(out);
}
