/** Discovery one document at a time: /api, /apis, /apis/<group>, /api/v1, /apis/<group>/<version>. */
import { createHash } from "node:crypto";
import type { SubresourceFacts } from "#api";
import type { ServedGroup } from "../aggregation/group-order.ts";
import { type GroupVersion, printGroupVersion, type Resource, type ResourceTable } from "../resource.ts";

export function apiVersions(table: ResourceTable, host: string): object {
  const versions = table
    .groupVersions()
    .filter(({ group }) => group === "")
    .map(({ version }) => version);
  return {
    kind: "APIVersions",
    versions,
    serverAddressByClientCIDRs: [{ clientCIDR: "0.0.0.0/0", serverAddress: host }],
  };
}

export function groupList(groups: readonly ServedGroup[]): object {
  const shown = groups.filter(({ group }) => group !== "");
  return { kind: "APIGroupList", apiVersion: "v1", groups: shown.map(describeGroup) };
}

export const groupDocument = (group: ServedGroup): object => ({
  kind: "APIGroup",
  apiVersion: "v1",
  ...describeGroup(group),
});

function describeGroup({ group: name, versions }: ServedGroup) {
  const described = versions.map(describeVersion);
  return { name, versions: described, preferredVersion: described[0] };
}

const describeVersion = ({ group, version }: GroupVersion) => ({
  groupVersion: printGroupVersion(group, version),
  version,
});

/** Undefined: no such version. */
export function resourceList(table: ResourceTable, group: string, version: string): object | undefined {
  if (!table.hasVersion(group, version)) return undefined;
  const groupVersion = printGroupVersion(group, version);
  const resources = [...table.all()].filter((each) => each.groupVersion === groupVersion).flatMap(describeResource);
  // The core group's document is older than apiVersion.
  return { kind: "APIResourceList", ...(group !== "" && { apiVersion: "v1" }), groupVersion, resources };
}

function describeResource(resource: Resource): object[] {
  const { namespaced, kind, verbs, shortNames, categories, singular, stored } = resource;
  const own = {
    name: resource.resource,
    singularName: singular,
    namespaced,
    kind,
    verbs,
    ...(shortNames.length > 0 && { shortNames }),
    ...(categories.length > 0 && { categories }),
    ...(stored &&
      verbs.includes("create") && {
        storageVersionHash: storageVersionHash(
          stored.group,
          stored.behaviour.hashedVersion ?? stored.form?.version ?? stored.version,
          stored.kind,
        ),
      }),
  };
  const views = resource.subresources.map((each) => describeSubresource(resource, each));
  return verbs.length > 0 ? [own, ...views] : views;
}

function describeSubresource({ resource, namespaced, group, version }: Resource, sub: SubresourceFacts): object {
  const foreign = sub.group !== group || sub.version !== version;
  return {
    name: `${resource}/${sub.name}`,
    singularName: "",
    namespaced,
    ...(foreign && { group: sub.group, version: sub.version }),
    kind: sub.kind,
    verbs: sub.verbs,
  };
}

/** Changes when objects are stored in another version. */
function storageVersionHash(group: string, version: string, kind: string): string {
  return createHash("sha256").update(`${group}/${version}/${kind}`).digest().subarray(0, 8).toString("base64");
}
