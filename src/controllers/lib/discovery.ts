/**
 * Which resources the server has. Read from the discovery documents that every server has; a group whose server can't be
 * reached is named in `failures`, and what is known of the others is used.
 */
import type { APIGroupList, APIResourceList, APIVersions } from "#api";
import type { Client, ResourceReference } from "#client";
import { messageOf } from "./pod-control.ts";

export interface DiscoveredResource extends ResourceReference {
  readonly kind: string;
  readonly verbs: readonly string[];
  /** The group's preferred version of this resource. */
  readonly preferred: boolean;
  /** It has the scale subresource. */
  readonly scalable: boolean;
}

export interface Discovery {
  readonly resources: readonly DiscoveredResource[];
  /** By group and version. */
  readonly failures: ReadonlyMap<string, string>;
}

export async function discover(client: Client): Promise<Discovery> {
  const get = <T>(path: string) => client.transport.request({ method: "GET", path }) as Promise<T>; // documents of fixed type
  const [core, groups] = await Promise.all([get<APIVersions>("/api"), get<APIGroupList>("/apis")]);
  const sources = [
    ...core.versions.map((version) => ({ group: "", version, path: `/api/${version}` })),
    ...groups.groups.flatMap(({ name, versions, preferredVersion }) =>
      // The preferred one first: of a resource in several versions the first counts.
      versions
        .toSorted(
          (a, b) => Number(b.version === preferredVersion?.version) - Number(a.version === preferredVersion?.version),
        )
        .map(({ version, groupVersion }) => ({ group: name, version, path: `/apis/${groupVersion}` })),
    ),
  ];
  const failures = new Map<string, string>();
  const lists = await Promise.all(
    sources.map(({ path, group, version }) =>
      get<APIResourceList>(path).catch((error: unknown) => {
        failures.set(group === "" ? version : `${group}/${version}`, messageOf(error));
        return undefined;
      }),
    ),
  );
  const resources: DiscoveredResource[] = [];
  const seen = new Set<string>();
  sources.forEach(({ group, version }, index) => {
    const served = lists[index]?.resources ?? [];
    const scales = new Set(served.filter(({ kind }) => kind === "Scale").map(({ name }) => name));
    for (const { name, kind, namespaced, verbs } of served) {
      if (name.includes("/")) continue;
      const id = `${group}/${name}`;
      const scalable = scales.has(`${name}/scale`);
      resources.push({ group, version, resource: name, kind, namespaced, verbs, preferred: !seen.has(id), scalable });
      seen.add(id);
    }
  });
  return { resources, failures };
}

/** As client-go names the failures together. */
export function describeFailures(failures: ReadonlyMap<string, string>): string {
  const texts = [...failures].sort(([a], [b]) => (a < b ? -1 : 1)).map(([group, why]) => `${group}: ${why}`);
  return `unable to retrieve the complete list of server APIs: ${texts.join(", ")}`;
}
