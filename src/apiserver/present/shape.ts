/** From the negotiated shape to a presenter; the shapes that upstream offers, and its refusals. */
import { internalPackage, StatusError, statusError } from "#machinery";
import {
  cborSequenceType,
  protobufType,
  type Format,
  isKnownAccept,
  type MediaType,
  mediaTypesOf,
  negotiate,
  type Transform,
} from "../http/media-type.ts";
import type { Query } from "../query.ts";
import type { Resource } from "../resource.ts";
import { MetadataPresenter } from "./metadata-presenter.ts";
import { ObjectPresenter, type Presenter } from "./presenter.ts";
import { type IncludeObject, type TableOptions, TablePresenter } from "./table-presenter.ts";

const shapes = new Set(["Table", "PartialObjectMetadata", "PartialObjectMetadataList"]);

function allows({ kind, group, version }: Transform, format: Format): boolean {
  if (group !== "meta.k8s.io" || (version !== "v1" && version !== "v1beta1")) return false;
  return shapes.has(kind) && (kind !== "Table" || format === "json" || format === "yaml");
}

const allowsButTables = (transform: Transform, format: Format): boolean =>
  transform.kind !== "Table" && allows(transform, format);

export interface Wanted {
  readonly accept: string | undefined;
  /** A list, or a watch of one. */
  readonly collection: boolean;
  readonly watch: boolean;
  readonly cbor: boolean;
}

/** For a request to a resource. Throws 406. */
export function negotiateShape(
  { accept, collection, watch, cbor }: Wanted,
  { custom, stored, verbs }: Resource,
): MediaType {
  if (!accept) return negotiate(accept, allows) as MediaType; // nothing was asked for
  if (!custom && !isKnownAccept(accept, { cbor, sequence: cbor && collection }))
    throw notAcceptable(representations({ collection, cbor }));
  // Custom resources have no protobuf form.
  // What can't be listed (reviews, bindings) has no rows.
  const allowed = verbs.includes("list") ? allows : allowsButTables;
  const media = negotiate(accept, allowed, { protobuf: !custom && !stored?.behaviour.jsonOnly, cbor });
  // What would be right for a list decides, though nothing streams YAML.
  if (!media || (watch && media.format === "yaml"))
    throw statusError.notAcceptable(watch ? streams(cbor) : mediaTypesOf({ cbor }));
  return media;
}

function representations({ collection, cbor }: Pick<Wanted, "collection" | "cbor">): string[] {
  return [...mediaTypesOf({ cbor }), ...(collection ? streams(cbor) : [])];
}

const streams = (cbor: boolean): string[] => [
  "application/json;stream=watch",
  `${protobufType};stream=watch`,
  ...(cbor ? [cborSequenceType] : []),
];

/** What the router of upstream answers before its own negotiation comes to speak. */
export function notAcceptable(available: readonly string[]): StatusError {
  return new StatusError({
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message: `406: Not Acceptable\n\nAvailable representations: ${available.join(", ")}`,
    reason: "NotAcceptable",
    details: {},
    code: 406,
  });
}

export interface ShapeRequest {
  readonly resource: Resource;
  readonly query: Query;
  readonly now: number;
  readonly answer: "object" | "list" | "watch";
  readonly textOf: TableOptions["textOf"];
}

export function presenterFor(
  { transform }: MediaType,
  { resource, query, now, answer, textOf }: ShapeRequest,
): Presenter {
  if (!transform) return new ObjectPresenter(resource);
  const { kind, version } = transform;
  if (kind === "Table") return new TablePresenter({ resource, version, include: readInclude(query), now, textOf });
  const internal = `*${internalPackage(resource.groupVersion)}.${resource.kind}`;
  if (kind === "PartialObjectMetadata" && answer === "list") {
    throw refuse(`you requested PartialObjectMetadata, but the requested object is a list (${internal}List)`);
  }
  if (kind === "PartialObjectMetadataList" && answer === "object") {
    throw refuse(`you requested PartialObjectMetadataList, but the requested object is not a list (${internal})`);
  }
  return new MetadataPresenter(version);
}

function refuse(message: string): StatusError {
  const { status } = statusError.notAcceptable([]);
  return new StatusError({ ...status, message });
}

function readInclude(query: Query): IncludeObject {
  const include = query.get("includeObject");
  if (include === "" || include === "Metadata") return "Metadata";
  if (include === "None" || include === "Object") return include;
  const why = `includeObject: Invalid value: ${JSON.stringify(include)}: must be 'Metadata', 'Object', 'None', or empty`;
  throw statusError.badRequest(`Unable to convert to Table as requested: ${why}`);
}
