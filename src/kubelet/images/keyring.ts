/**
 * Which passwords fit an image: upstream's keyring. Entries of Docker configurations are places (`registry.example.com:5000/team`), the
 * host's labels may hold wildcards; all that fit are tried, the longer place first. Each remembers where it came from, since an image that was
 * pulled with somebody's password is nobody else's.
 */
import { createHash } from "node:crypto";

export interface Credential {
  readonly username: string;
  readonly password: string;
  readonly email?: string;
}

/** By place. */
export type DockerConfig = Readonly<Record<string, Credential>>;

export interface SourceObject {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
}

/** Missing: the whole node may use it. */
export interface CredentialSource {
  readonly secret?: SourceObject;
  readonly serviceAccount?: SourceObject;
}

export interface TrackedCredential extends Credential {
  readonly source: CredentialSource | undefined;
  /** Of name and password: the same password in another Secret is the same. */
  readonly hash: string;
}

export interface SourcedConfig {
  readonly source?: CredentialSource | undefined;
  readonly config: DockerConfig;
}

/** A Secret of type kubernetes.io/dockerconfigjson or kubernetes.io/dockercfg. */
export interface PullSecret {
  readonly metadata?: { readonly uid?: string; readonly namespace?: string; readonly name?: string };
  readonly type?: string;
  readonly data?: Readonly<Record<string, string>>;
}

const defaultRegistry = "index.docker.io";

/** Credentials of one ring that fit `image`, a name with its registry and without tag (`docker.io/library/busybox`). */
export function lookUp(ring: readonly SourcedConfig[], image: string): TrackedCredential[] {
  const byPlace = new Map<string, TrackedCredential[]>();
  for (const { source, config } of ring)
    for (const [location, credential] of Object.entries(config)) {
      const place = placeOf(location);
      if (place === undefined) continue;
      const known = byPlace.get(place) ?? [];
      byPlace.set(place, [...known, { ...credential, source, hash: hashOf(credential) }]);
    }
  // In reverse order a longer place comes before its beginning.
  const places = [...byPlace.keys()].sort().reverse();
  const fitting = places.filter((place) => placeMatches(place, image)).flatMap((place) => byPlace.get(place) ?? []);
  if (fitting.length > 0) return fitting;
  return isOfDefaultRegistry(image) ? (byPlace.get(defaultRegistry) ?? []) : [];
}

/** The key of a Docker configuration without scheme and API version; undefined: no URL at all. */
function placeOf(location: string): string | undefined {
  const url = splitUrl(location.replace(/^https?:\/\//, ""));
  if (!url) return undefined;
  const path = /^\/v[12]\//.test(url.path) ? url.path.slice(3) : url.path;
  return url.host + (path === "/" ? "" : path);
}

function isOfDefaultRegistry(image: string): boolean {
  const [first = "", ...rest] = image.split("/");
  if (first === "") return false;
  return rest.length === 0 || first === "docker.io" || first === defaultRegistry || !/[.:]/.test(first);
}

/** As upstream's matchImages: same port, same number of labels, each by wildcard, and the beginning of the path. */
export function placeMatches(pattern: string, target: string): boolean {
  const [wanted, found] = [splitUrl(pattern), splitUrl(target)];
  if (!wanted || !found || wanted.port !== found.port || !found.path.startsWith(wanted.path)) return false;
  if (wanted.labels.length !== found.labels.length) return false;
  return wanted.labels.every((label, at) => labelPattern(label).test(found.labels[at] ?? ""));
}

/** Undefined: Go's URL parser refuses it. */
export function splitUrl(text: string) {
  const slash = text.search(/[/?#]/);
  const host = slash < 0 ? text : text.slice(0, slash);
  const path = slash < 0 ? "" : text.slice(slash).replace(/[?#].*$/, "");
  const { name = host, port = "" } = /^(?<name>[^:]*|\[[^\]]*\]):(?<port>\d*)$/.exec(host)?.groups ?? {};
  if (/[\s<>"\\^`{|}]|.\[/.test(host) || (name.includes(":") && !name.startsWith("["))) return undefined;
  return { host, labels: name.split("."), port, path };
}

/** A URL's host holds no other sign with a meaning for Go's filepath.Match. */
const labelPattern = (label: string): RegExp =>
  new RegExp(`^${label.replace(/[^*\w-]/g, "\\$&").replaceAll("*", ".*")}$`, "s");

/** JSON as Go writes it, hashed: pull records of the original and ours agree. */
function hashOf({ username, password, email }: Credential): string {
  const fields = Object.entries({ username, password, email }).filter(([, value]) => value);
  const json = JSON.stringify(Object.fromEntries(fields)).replace(
    /[<>&\u2028\u2029]/g,
    (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return createHash("sha256").update(json).digest("hex");
}

/** The ring of a pod's pull secrets. Throws with upstream's text when one can't be read. */
export function ringOfSecrets(secrets: readonly PullSecret[]): SourcedConfig[] {
  return secrets.flatMap(({ type, data, metadata: { uid = "", namespace = "", name = "" } = {} }) => {
    const kind = secretKinds.find((one) => one.type === type && data?.[one.key]);
    if (!kind) return [];
    const value: unknown = parseJson(Buffer.from(data?.[kind.key] ?? "", "base64").toString());
    return [{ source: { secret: { uid, namespace, name } }, config: readDockerConfig(kind.read(value)) }];
  });
}

const secretKinds = [
  { type: "kubernetes.io/dockerconfigjson", key: ".dockerconfigjson", read: authsOf },
  { type: "kubernetes.io/dockercfg", key: ".dockercfg", read: (value: unknown) => value },
] as const;

export function authsOf(value: unknown): unknown {
  return (value as { auths?: unknown } | null)?.auths; // whatever JSON holds; checked by readDockerConfig
}

/** What stands in a Docker configuration. Throws with upstream's text. */
export function readDockerConfig(value: unknown): DockerConfig {
  if (value === undefined || value === null) return {};
  if (typeof value !== "object" || Array.isArray(value))
    throw new Error("json: cannot unmarshal into Go value of type credentialprovider.DockerConfig");
  return Object.fromEntries(
    Object.entries(value).map(([place, entry]: [string, unknown]) => {
      const { username = "", password = "", email = "", auth } = (entry ?? {}) as Record<string, string | undefined>; // the file's documented shape
      return [place, { username, password, ...(email && { email }), ...(auth && decodeAuth(auth)) }];
    }),
  );
}

function decodeAuth(auth: string): Credential {
  const bare = auth.replace(/[\r\n]/g, "");
  const problem = base64Problem(bare);
  if (problem !== undefined) throw new Error(`illegal base64 data at input byte ${problem}`);
  const text = Buffer.from(bare, "base64").toString();
  const colon = text.indexOf(":");
  if (colon < 0) throw new Error("unable to parse auth field, must be formatted as base64(username:password)");
  return { username: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** Where Go's decoder stops: at the first strange letter, or where the end is missing. */
function base64Problem(text: string): number | undefined {
  const { length } = /^[A-Za-z0-9+/]*/.exec(text)?.[0] ?? "";
  const padding = text.slice(length);
  if (/^={0,2}$/.test(padding) && (padding === "" ? length % 4 !== 1 : text.length % 4 === 0)) return undefined;
  return padding === "" || padding.startsWith("=") ? length - (length % 4) : length;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) throw new Error(`invalid pull secret: ${error.message}`);
    throw error;
  }
}
