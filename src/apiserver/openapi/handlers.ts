/**
 * /openapi/v2 and /openapi/v3. Documents are large and rarely asked for: made when asked, kept as bytes until what is served
 * changes, never as objects. Hashes in the index come from what the documents are made of, so the index alone builds nothing.
 */
import { createHash } from "node:crypto";
import type { TypeSchema } from "#machinery";
import type { Aggregation } from "../aggregation/aggregation.ts";
import { mergeSwagger } from "../aggregation/swagger.ts";
import type { Answer } from "../answer.ts";
import type { PathHandler, PathRequest } from "../paths.ts";
import { printGroupVersion, type ResourceTable } from "../resource.ts";
import { type DescriptionFile, Descriptions } from "./descriptions.ts";
import { documentV2, documentV3 } from "./documents.ts";
import { encodeJson, encodeProtobuf, inTurns } from "./encode-document.ts";
import type { Dialect, Json } from "./schemas.ts";

export interface OpenApiSource {
  readonly version: string;
  readonly table: ResourceTable;
  typeOf(groupVersion: string, kind: string): TypeSchema | undefined;
  /** Absent: nobody else serves anything. */
  readonly aggregation?: Aggregation;
  /** What fields mean, where the build left it. */
  readonly descriptions?: () => DescriptionFile | undefined;
}

/** An `@` is no part of a media type for Go's parser: asked for in both forms, answered in the one that clients can read. */
const protobufTypes = {
  v2: "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
  v3: "application/com.github.proto-openapi.spec.v3.v1.0+protobuf",
} as const;
/** Bodies kept: kubectl asks for a few group versions again and again. */
const keptMax = 16;

interface Body {
  readonly bytes: Buffer;
  readonly etag: string;
}

export function openApiHandler(source: OpenApiSource): PathHandler {
  const { aggregation } = source;
  const remote = () => aggregation?.openApi;
  const kept = new Map<string, Promise<Body>>();
  let keptGeneration = "";
  const body = (key: string, make: () => Promise<Buffer>): Promise<Body> => {
    const generation = `${source.table.generation} ${remote()?.generation}`;
    if (keptGeneration !== generation) kept.clear();
    keptGeneration = generation;
    const found = kept.get(key);
    if (found) return found;
    const made = make().then((bytes) => ({ bytes, etag: `"${hashOf(bytes)}"` }));
    made.catch(() => kept.delete(key)); // whoever waits hears of it
    if (kept.size >= keptMax) kept.delete(kept.keys().next().value ?? "");
    kept.set(key, made);
    return made;
  };

  const describe = () => {
    const file = source.descriptions?.();
    return file && new Descriptions(file);
  };
  const serve = async (
    request: PathRequest,
    spec: Dialect,
    document: { key: string; make: () => Generator<void, Json> },
  ): Promise<Answer> => {
    const compressible = spec === "v2";
    const format = negotiate(request.accept, protobufTypes[spec]);
    if (!format) return { type: "raw", status: 406, headers: { vary: "Accept" }, body: "", compressible };
    const encode = format === "json" ? encodeJson : encodeProtobuf;
    const steps = function* () {
      return yield* encode(yield* document.make(), spec);
    };
    const { bytes, etag } = await body(`${format} ${document.key}`, () => inTurns(steps()));
    const headers = {
      etag,
      vary: "Accept",
      "content-type": format === "json" ? "application/json" : protobufTypes[spec],
    };
    if (request.etag === etag) return { type: "raw", status: 304, headers, body: "", compressible };
    return { type: "raw", status: 200, headers, body: bytes, compressible };
  };

  const groupVersions = () =>
    source.table.groupVersions().map(({ group, version }) => ({
      path: group === "" ? `api/${version}` : `apis/${group}/${version}`,
      group,
      version,
    }));
  const resourcesOf = (group: string, version: string) =>
    [...source.table.all()].filter((resource) => resource.group === group && resource.version === version);

  /** What extension servers publish: they are asked, or what they said in the old form is told in the new one. */
  const elsewhere = (request: PathRequest, wanted: string): Answer | Promise<Answer> => {
    for (const { path, entry } of remote()?.paths() ?? []) {
      if (path !== wanted) continue;
      const old = remote()?.converted(entry);
      if (old) return serve(request, "v3", { key: path, make: () => made(old) });
      const { user, query } = request;
      if (aggregation) return aggregation.answer({ entry, user, query, discovery: false, longRunning: false });
    }
    return { type: "raw", status: 404, headers: {}, body: "" };
  };

  return (request) => {
    // Whatever the method.
    const [, spec, ...rest] = request.parts;
    if (spec === "v2" && rest.length === 0)
      return serve(request, "v2", {
        key: "v2",
        *make() {
          const own = yield* documentV2({ ...source, descriptions: describe(), resources: [...source.table.all()] });
          return mergeSwagger(own, remote()?.documentsV2() ?? []);
        },
      });
    if (spec !== "v3") return undefined;
    if (rest.length === 0) return index(groupVersions(), source);
    const wanted = rest.join("/");
    const found = groupVersions().find(({ path }) => path === wanted);
    if (!found) return elsewhere(request, wanted);
    const { path, group, version } = found;
    return serve(request, "v3", {
      key: path,
      make: () => documentV3({ ...source, descriptions: describe(), resources: resourcesOf(group, version) }),
    });
  };
}

/** A document that is there already. */
// biome-ignore lint/correctness/useYield: it has no steps
function* made(document: Json): Generator<void, Json> {
  return document;
}

function index(
  groupVersions: readonly { path: string; group: string; version: string }[],
  source: OpenApiSource,
): Answer {
  const others = [...(source.aggregation?.openApi.paths() ?? [])].map(
    ({ path, url }) => [path, { serverRelativeURL: url }] as const,
  );
  const own = Object.fromEntries(
    groupVersions.map(({ path, group, version }) => {
      const content = `${source.version} ${source.table.generation} ${printGroupVersion(group, version)}`;
      return [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${hashOf(content)}` }];
    }),
  );
  const body = JSON.stringify({ paths: { ...Object.fromEntries(others), ...own } });
  // Upstream lets Go guess.
  return { type: "raw", status: 200, headers: { "content-type": "text/plain; charset=utf-8" }, body };
}

const hashOf = (content: string | Buffer) => createHash("sha512").update(content).digest("hex").toUpperCase();

/** JSON unless the protobuf form is wanted; undefined: nothing we have. */
function negotiate(accept: string | undefined, protobuf: string): "json" | "protobuf" | undefined {
  if (!accept) return "json";
  for (const part of accept.split(",")) {
    const type = part.split(";")[0]?.trim();
    if (type?.replace("@", ".") === protobuf) return "protobuf";
    if (type === "application/json" || type === "*/*" || type === "application/*") return "json";
  }
  return undefined;
}
