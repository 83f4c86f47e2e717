/** From the negotiated shape to a presenter; the shapes that upstream offers, and its refusals. */
import { StatusError, statusError } from "#machinery";
import { acceptedMediaTypes, isKnownAccept, type MediaType, negotiate, type Transform } from "../http/media-type.ts";
import type { Query } from "../query.ts";
import type { Resource } from "../resource.ts";
import { MetadataPresenter } from "./metadata-presenter.ts";
import { ObjectPresenter, type Presenter } from "./presenter.ts";
import { type IncludeObject, type TableOptions, TablePresenter } from "./table-presenter.ts";

const shapes = new Set(["Table", "PartialObjectMetadata", "PartialObjectMetadataList"]);

const allows = ({ kind, group, version }: Transform): boolean =>
  shapes.has(kind) && group === "meta.k8s.io" && (version === "v1" || version === "v1beta1");

/** For a request to a resource. Throws 406. */
export function negotiateShape(accept: string | undefined, { itemsHaveKind }: Resource): MediaType {
  if (!isKnownAccept(accept)) throw notAcceptable();
  // Custom resources have no protobuf form.
  const media = negotiate(accept, allows, { protobuf: !itemsHaveKind });
  if (!media) throw statusError.notAcceptable(acceptedMediaTypes);
  return media;
}

/** What the router of upstream answers before its own negotiation comes to speak. */
export function notAcceptable(): StatusError {
  return new StatusError({
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message: "406: Not Acceptable",
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
  const internal = `*${resource.group === "" ? "core" : (resource.group.split(".")[0] ?? "")}.${resource.kind}`;
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
