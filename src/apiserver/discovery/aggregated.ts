/** Discovery in one document for each of /api and /apis: APIGroupDiscoveryList, which kubectl since 1.26 asks for. */
import type { Resource, ResourceTable } from "../resource.ts";

/** `core`: of /api, else of /apis. */
export function aggregated(table: ResourceTable, core: boolean, version: string): object {
  const groupVersions = table.groupVersions();
  const groups = [...new Set(groupVersions.map(({ group }) => group))].filter((group) => (group === "") === core);
  const items = groups.map((group) => ({
    metadata: { ...(group !== "" && { name: group }), creationTimestamp: null },
    versions: groupVersions
      .filter((each) => each.group === group)
      .map((each) => ({
        version: each.version,
        resources: [...table.all()]
          .filter((resource) => resource.group === group && resource.version === each.version)
          .map(describe),
        freshness: "Current",
      })),
  }));
  return { kind: "APIGroupDiscoveryList", apiVersion: `apidiscovery.k8s.io/${version}`, metadata: {}, items };
}

function describe(resource: Resource): object {
  const { group, version, kind, namespaced, singular, verbs, shortNames, categories, subresources } = resource;
  return {
    resource: resource.resource,
    responseKind: { group, version, kind },
    scope: namespaced ? "Namespaced" : "Cluster",
    singularResource: singular,
    verbs,
    ...(shortNames.length > 0 && { shortNames }),
    ...(categories.length > 0 && { categories }),
    ...(subresources.length > 0 && {
      subresources: subresources.map((each) => ({
        subresource: each.name,
        responseKind: { group: each.group, version: each.version, kind: each.kind },
        verbs: each.verbs,
      })),
    }),
  };
}
