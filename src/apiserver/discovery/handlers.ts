/** Discovery over HTTP. Documents are made once and kept until what is served changes. */
import { createHash } from "node:crypto";
import { statusError } from "#machinery";
import type { Answer } from "../answer.ts";
import { acceptedMediaTypes, negotiate, type Transform } from "../http/media-type.ts";
import { type PathHandler, type PathRequest, pageNotFound } from "../paths.ts";
import type { ResourceTable } from "../resource.ts";
import { aggregated } from "./aggregated.ts";
import { apiVersions, groupDocument, groupList, resourceList } from "./legacy.ts";

const isAggregated = ({ kind, group, version }: Transform): boolean =>
  kind === "APIGroupDiscoveryList" && group === "apidiscovery.k8s.io" && (version === "v2" || version === "v2beta1");

interface Kept {
  readonly generation: number;
  readonly body: string;
  readonly etag: string;
}

export function discoveryHandlers(table: ResourceTable): ReadonlyMap<string, PathHandler> {
  const kept = new Map<string, Kept>();
  const document = (key: string, make: () => object): Kept => {
    const found = kept.get(key);
    if (found?.generation === table.generation) return found;
    const body = JSON.stringify(make());
    const etag = `"${createHash("sha512").update(body).digest("hex").toUpperCase()}"`;
    const made = { generation: table.generation, body, etag };
    kept.set(key, made);
    return made;
  };
  const whole = (request: PathRequest, core: boolean, plain: () => object): Answer => {
    const media = negotiate(request.accept, isAggregated);
    if (!media) throw statusError.notAcceptable(acceptedMediaTypes);
    if (!media.transform) return { type: "value", status: 200, value: plain() };
    const { version } = media.transform;
    const { body, etag } = document(`${core}/${version}`, () => aggregated(table, core, version));
    const headers = {
      "content-type": `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`,
      etag,
      vary: "Accept",
    };
    if (request.etag === etag) return { type: "raw", status: 304, headers: { etag, vary: "Accept" }, body: "" };
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
        if (version === undefined) return whole(request, true, () => apiVersions(table, request.host));
        return resources(request, "", version);
      },
    ],
    [
      "apis",
      (request) => {
        const [, group, version] = request.parts;
        if (group === undefined) return whole(request, false, () => groupList(table));
        if (!table.hasGroup(group) || group === "") return pageNotFound();
        if (version !== undefined) return resources(request, group, version);
        const value = groupDocument(table, group);
        return value && { type: "value", status: 200, value };
      },
    ],
  ]);
}

function onlyGet({ method }: PathRequest, value: object): Answer {
  if (method !== "GET") throw statusError.methodNotAllowed();
  return { type: "value", status: 200, value };
}
