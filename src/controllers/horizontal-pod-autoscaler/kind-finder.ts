/**
 * Where objects of a kind are served, and their scale: from discovery of the kind's group, asked for once and again after something went
 * wrong. Built-in and custom kinds are found alike.
 */
import type { APIGroup, APIResourceList } from "#api";
import type { Client, ResourceReference } from "#client";
import { goQuote, isStatusError } from "#machinery";

export interface GroupKind {
  readonly group: string;
  readonly kind: string;
}

export interface KindFinder {
  /** Rejects with upstream's words when nobody serves it. */
  resource(kind: GroupKind): Promise<ResourceReference>;
  /** The version in which it has a scale. */
  scalable(kind: GroupKind): Promise<ResourceReference>;
  forget(kind: GroupKind): void;
}

interface Found extends ResourceReference {
  readonly scalable: boolean;
}

const keyOf = ({ group, kind }: GroupKind): string => `${group}/${kind}`;

export function createKindFinder(client: Client): KindFinder {
  const known = new Map<string, Promise<readonly Found[]>>();

  function find(kind: GroupKind): Promise<readonly Found[]> {
    const key = keyOf(kind);
    let found = known.get(key);
    if (!found) {
      found = ask(kind);
      found.catch(() => known.delete(key));
      known.set(key, found);
    }
    return found;
  }

  async function ask({ group, kind }: GroupKind): Promise<Found[]> {
    const get = <T>(path: string) => client.transport.request({ method: "GET", path }) as Promise<T>; // documents of fixed type
    const { versions, preferredVersion } =
      group === "" ? coreGroup : await get<APIGroup>(`/apis/${group}`).catch(unlessMissing(group, kind));
    const preferred = preferredVersion?.version;
    const names = versions.map(({ version }) => version);
    const ordered = names.toSorted((a, b) => Number(b === preferred) - Number(a === preferred));
    const found: Found[] = [];
    for (const version of ordered) {
      const path = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
      const { resources } = await get<APIResourceList>(path);
      const own = resources.find((each) => each.kind === kind && !each.name.includes("/"));
      if (!own) continue;
      const { name: resource, namespaced } = own;
      const scalable = resources.some(({ name }) => name === `${resource}/scale`);
      found.push({ group, version, resource, namespaced, scalable });
    }
    if (found.length === 0) throw noMatch(group, kind);
    return found;
  }

  return {
    async resource(kind) {
      const [first] = await find(kind);
      if (!first) throw noMatch(kind.group, kind.kind);
      return first;
    },
    async scalable(kind) {
      const all = await find(kind);
      const found = all.find(({ scalable }) => scalable);
      if (found) return found;
      known.delete(keyOf(kind));
      const [{ group, version, resource } = { ...kind, version: "", resource: "" }] = all;
      const what = `${group}/${version}, Resource=${resource}`;
      throw new Error(`could not find scale subresource for ${what} in discovery information`);
    },
    forget: (kind) => void known.delete(keyOf(kind)),
  };
}

const coreGroup: Pick<APIGroup, "versions" | "preferredVersion"> = {
  versions: [{ version: "v1", groupVersion: "v1" }],
};

const noMatch = (group: string, kind: string) =>
  new Error(`no matches for kind ${goQuote(kind)} in group ${goQuote(group)}`);

const unlessMissing = (group: string, kind: string) => (error: unknown) => {
  throw isStatusError(error) && error.code === 404 ? noMatch(group, kind) : error;
};
