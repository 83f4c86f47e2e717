/** Discovery over HTTP. Documents are made once and kept until what is served changes. */
import { createHash } from "node:crypto";
import { statusError } from "#machinery";
import type { Aggregation } from "../aggregation/aggregation.ts";
import { legacyOrder } from "../aggregation/group-order.ts";
import type { Answer } from "../answer.ts";
import { acceptedMediaTypes, isKnownAccept, negotiate, type Transform } from "../http/media-type.ts";
import { type PathHandler, type PathRequest, pageNotFound } from "../paths.ts";
import { notAcceptable } from "../present/shape.ts";
import type { ResourceTable } from "../resource.ts";
import { aggregated } from "./aggregated.ts";
import { apiVersions, groupDocument, groupList, resourceList } from "./legacy.ts";

const isAggregated = ({ kind, group, version }: Transform): boolean =>
  kind === "APIGroupDiscoveryList" && group === "apidiscovery.k8s.io" && version === "v2";

interface Kept {
  readonly generation: string;
  readonly body: string;
  readonly etag: string;
}

export interface DiscoverySource {
  readonly table: ResourceTable;
  readonly aggregation: Aggregation;
  /** `host:port` that clients are told; undefined: where they reached us. */
  readonly serverAddress?: () => string | undefined;
}

export function discoveryHandlers(source: DiscoverySource): ReadonlyMap<string, PathHandler> {
  const { table, aggregation } = source;
  const kept = new Map<string, Kept>();
  const keep = (key: string, make: () => object): Kept => {
    const { generation } = aggregation;
    const found = kept.get(key);
    if (found?.generation === generation) return found;
    const body = JSON.stringify(make());
    const etag = `"${createHash("sha512").update(body).digest("hex").toUpperCase()}"`;
    const made = { generation, body, etag };
    kept.set(key, made);
    return made;
  };
  const whole = (request: PathRequest, core: boolean, plain: () => object): Answer => {
    if (core) checkRoute(request);
    const media = negotiate(request.accept, isAggregated, { protobuf: true });
    if (!media) throw statusError.notAcceptable(acceptedMediaTypes);
    if (!media.transform) return { type: "value", status: 200, value: plain() };
    const { version } = media.transform;
    const { body, etag } = keep(`${core}/${version}`, () => aggregated(source, { core, version }));
    const headers = {
      "content-type": `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`,
      etag,
      vary: "Accept",
      // May be kept, as long as it is asked for again by its tag.
      "cache-control": "public",
    };
    if (request.etag === etag)
      return { type: "raw", status: 304, headers: { etag, vary: "Accept", "cache-control": "public" }, body: "" };
    return { type: "raw", status: 200, headers, body };
  };
  const resources = (request: PathRequest, group: string, version: string): Answer => {
    const value = resourceList(table, group, version);
    if (!value && table.isCustomGroup(group)) return pageNotFound();
    if (!value) throw statusError.unknownPath();
    return onlyGet(request, value);
  };
  return new Map<string, PathHandler>([
    [
      "api",
      (request) => {
        const [, version] = request.parts;
        if (version === undefined && request.method !== "GET") throw statusError.methodNotAllowed();
        if (version === undefined)
          return whole(request, true, () => apiVersions(table, source.serverAddress?.() ?? request.host));
        return resources(request, "", version);
      },
    ],
    [
      "apis",
      (request) => {
        const [, group, version] = request.parts;
        if (group === undefined) return whole(request, false, () => groupList(aggregation.legacyGroups()));
        if (group === "") return pageNotFound();
        if (version !== undefined) return table.hasGroup(group) ? resources(request, group, version) : pageNotFound();
        // Without an API service a group isn't listed, but it's still here.
        const known = [...aggregation.legacyGroups(), ...legacyOrder(table.groupVersions())];
        const found = known.find((each) => each.group === group);
        return found ? document(request, groupDocument(found)) : pageNotFound();
      },
    ],
  ]);
}

function onlyGet(request: PathRequest, value: object): Answer {
  if (request.method !== "GET") throw statusError.methodNotAllowed();
  checkRoute(request);
  return document(request, value);
}

/** What upstream's router doesn't let through. */
function checkRoute({ accept }: PathRequest): void {
  if (!isKnownAccept(accept)) throw notAcceptable(acceptedMediaTypes);
}

function document({ accept }: PathRequest, value: object): Answer {
  if (!negotiate(accept, () => false, { protobuf: true })) throw statusError.notAcceptable(acceptedMediaTypes);
  return { type: "value", status: 200, value };
}
