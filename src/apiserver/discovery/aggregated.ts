/** Discovery in one document for each of /api and /apis: APIGroupDiscoveryList, which kubectl since 1.26 asks for. */
import type { Aggregation, ShownVersion } from "../aggregation/aggregation.ts";
import type { Resource, ResourceTable } from "../resource.ts";

/** `core`: of /api, else of /apis. */
export function aggregated(
  { table, aggregation }: { table: ResourceTable; aggregation: Aggregation },
  { core, version }: { core: boolean; version: string },
): object {
  const groups = aggregation.aggregatedGroups().filter(({ group }) => (group === "") === core);
  const versionOf = ({ group, version: name, remote }: ShownVersion) =>
    remote
      ? aggregation.discovered(remote)
      : {
          version: name,
          resources: [...table.all()].filter((each) => each.group === group && each.version === name).map(describe),
          freshness: "Current",
        };
  const items = groups.map(({ group, versions }) => ({
    metadata: { ...(group !== "" && { name: group }) },
    versions: versions.map(versionOf),
  }));
  return { kind: "APIGroupDiscoveryList", apiVersion: `apidiscovery.k8s.io/${version}`, metadata: {}, items };
}

function describe(resource: Resource): object {
  const { kind, namespaced, singular, verbs, shortNames, categories, subresources } = resource;
  const responseKind = (of: { group: string; version: string; kind: string }) => {
    // Upstream says it of custom kinds, and of built-in ones only where it isn't the document's own.
    const said = resource.custom || of.group !== resource.group || of.version !== resource.version;
    return { group: said ? of.group : "", version: said ? of.version : "", kind: of.kind };
  };
  return {
    resource: resource.resource,
    responseKind: responseKind({ ...resource, kind }),
    scope: namespaced ? "Namespaced" : "Cluster",
    singularResource: singular,
    verbs,
    ...(shortNames.length > 0 && { shortNames }),
    ...(categories.length > 0 && { categories }),
    ...(subresources.length > 0 && {
      subresources: subresources.map((each) => ({
        subresource: each.name,
        responseKind: responseKind(each),
        verbs: each.verbs,
      })),
    }),
  };
}
