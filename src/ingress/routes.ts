/**
 * Which backend a request goes to: the rules of all our Ingresses by host and path. One Ingress is put in and taken out without a look at the
 * others; a lookup is a few hash lookups, however many there are. Pure.
 *
 * A rule applies to all requests that its host and its path match, and the most specific one wins, host before path: exact host, wildcard
 * (one label), any host; then `Exact`, then the longest `Prefix` by path elements (`ImplementationSpecific` is treated as such).
 * Of equal rules the oldest Ingress's wins, so that nobody takes a path from another by asking later. What no rule matches goes to a default
 * backend: of an Ingress with a rule for that host, else of one without rules, else of any.
 */
import type { Ingress, IngressBackend } from "#api";
import type { DeepReadonly } from "#machinery";
import { normalizePath, parentOf } from "./target.ts";

export interface Route {
  /** Of the Ingress. */
  readonly key: string;
  readonly namespace: string;
  readonly backend: DeepReadonly<IngressBackend>;
  readonly redirectsToHttps: boolean;
  /** Older ones win: creation time, then key. */
  readonly age: string;
}

/** Requests by HTTP are sent to HTTPS, permanently; nothing else turns it on. */
export const redirectAnnotation = "sampan.dev/ssl-redirect";

interface Slot {
  readonly list: "exact" | "prefix" | "fallback";
  /** "" for fallbacks. */
  readonly path: string;
}

/** Of one host, of all hosts under a wildcard, or of any host. */
class HostRoutes {
  readonly lists = {
    exact: new Map<string, Route[]>(),
    prefix: new Map<string, Route[]>(),
    fallback: new Map<string, Route[]>(),
  };
  /** Longest prefix: no longer ones are tried, whatever the length of a request's path. */
  #prefixLength = 0;

  get isEmpty(): boolean {
    return Object.values(this.lists).every(({ size }) => size === 0);
  }

  add({ list, path }: Slot, route: Route): void {
    const routes = this.lists[list].get(path) ?? [];
    const at = routes.findIndex(({ age }) => age > route.age);
    routes.splice(at < 0 ? routes.length : at, 0, route);
    this.lists[list].set(path, routes);
    if (list === "prefix") this.#prefixLength = Math.max(this.#prefixLength, path.length);
  }

  remove({ list, path }: Slot, key: string): void {
    const left = (this.lists[list].get(path) ?? []).filter((route) => route.key !== key);
    if (left.length > 0) this.lists[list].set(path, left);
    else this.lists[list].delete(path);
  }

  match(path: string): Route | undefined {
    const exact = this.lists.exact.get(path)?.[0];
    if (exact) return exact;
    if (this.lists.prefix.size === 0) return undefined;
    // Elements: /a/b/ is a prefix of what /a/b is; the root's is "".
    let end = path.length;
    if (end > this.#prefixLength) {
      end = path.lastIndexOf("/", this.#prefixLength);
    } else if (path.endsWith("/")) end--;
    for (; end >= 0; end = end === 0 ? -1 : path.lastIndexOf("/", end - 1)) {
      const found = this.lists.prefix.get(path.slice(0, end))?.[0];
      if (found) return found;
    }
    return undefined;
  }

  get fallback(): Route | undefined {
    return this.lists.fallback.get("")?.[0];
  }
}

interface Placed {
  readonly group: "exact" | "wildcard";
  /** "" of group wildcard: any host. */
  readonly host: string;
  readonly slot: Slot;
}

/** A backend of one Ingress, where it was put. */
type Placement = readonly [place: Placed, route: Route];

export class RouteTable {
  readonly #hosts = { exact: new Map<string, HostRoutes>(), wildcard: new Map<string, HostRoutes>() };
  /** Defaults of Ingresses with rules, for hosts that nobody knows. */
  #lastResorts: Route[] = [];
  readonly #placed = new Map<string, readonly Placement[]>();

  /** Adds or replaces; an Ingress that is not in the table any more goes with `delete`. */
  set(key: string, ingress: DeepReadonly<Ingress>): void {
    this.delete(key);
    const placements = placementsOf(key, ingress);
    for (const [{ group, host, slot }, route] of placements) {
      const routes = this.#hosts[group].get(host) ?? new HostRoutes();
      routes.add(slot, route);
      this.#hosts[group].set(host, routes);
    }
    const resort = placements.find(([{ slot }]) => slot.list === "fallback")?.[1];
    if (resort) this.#lastResorts = [...this.#lastResorts, resort].sort((a, b) => (a.age < b.age ? -1 : 1));
    this.#placed.set(key, placements);
  }

  delete(key: string): void {
    for (const [{ group, host, slot }] of this.#placed.get(key) ?? []) {
      const routes = this.#hosts[group].get(host);
      routes?.remove(slot, key);
      if (routes?.isEmpty) this.#hosts[group].delete(host);
    }
    if (this.#placed.delete(key)) this.#lastResorts = this.#lastResorts.filter((route) => route.key !== key);
  }

  get size(): number {
    return this.#placed.size;
  }

  /** Host and path as `normalizeHost` and `normalizePath` make them. */
  match(host: string, path: string): Route | undefined {
    const parent = parentOf(host);
    const exact = this.#hosts.exact.get(host);
    const wildcard = parent === undefined ? undefined : this.#hosts.wildcard.get(parent);
    const any = this.#hosts.wildcard.get("");
    return (
      exact?.match(path) ??
      wildcard?.match(path) ??
      any?.match(path) ??
      exact?.fallback ??
      wildcard?.fallback ??
      any?.fallback ??
      this.#lastResorts[0]
    );
  }
}

function placementsOf(key: string, { metadata, spec }: DeepReadonly<Ingress>): Placement[] {
  const { namespace = "", creationTimestamp = "", annotations } = metadata;
  const redirectsToHttps = annotations?.[redirectAnnotation] === "true";
  const route = (backend: DeepReadonly<IngressBackend>): Route => ({
    ...{ key, namespace, backend, redirectsToHttps },
    age: `${creationTimestamp} ${key}`,
  });
  const placements: Placement[] = [];
  const rules = spec?.rules ?? [];
  for (const { host = "", http } of rules) {
    for (const { path = "", pathType, backend } of http?.paths ?? []) {
      const slot = slotOf(path, pathType);
      if (slot) placements.push([{ ...placeOfHost(host), slot }, route(backend)]);
    }
  }
  const { defaultBackend } = spec ?? {};
  if (!defaultBackend) return placements;
  const hosts = rules.length === 0 ? [""] : [...new Set(rules.map(({ host = "" }) => host))];
  const fallback: Slot = { list: "fallback", path: "" };
  return [
    ...placements,
    ...hosts.map((host): Placement => [{ ...placeOfHost(host), slot: fallback }, route(defaultBackend)]),
  ];
}

function placeOfHost(host: string): Pick<Placed, "group" | "host"> {
  const name = host.toLowerCase();
  if (name === "") return { group: "wildcard", host: "" };
  return name.startsWith("*.") ? { group: "wildcard", host: name.slice(2) } : { group: "exact", host: name };
}

/** A path that isn't absolute (only ImplementationSpecific ones may be so) matches nothing, except for the empty one: everything. */
function slotOf(path: string, pathType: string | undefined): Slot | undefined {
  const normal = normalizePath(path === "" ? "/" : path);
  if (normal === undefined) return undefined;
  if (pathType === "Exact") return { list: "exact", path: normal };
  return { list: "prefix", path: normal.endsWith("/") ? normal.slice(0, -1) : normal };
}
