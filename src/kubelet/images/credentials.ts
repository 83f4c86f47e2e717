/** Registry passwords from a pod's image pull secrets. */
import { parseImageReference } from "../core/image-reference.ts";
import type { AuthConfig } from "../cri/types.d.ts";

interface DockerAuth {
  readonly username?: string;
  readonly password?: string;
  readonly auth?: string;
  readonly identitytoken?: string;
  readonly registrytoken?: string;
}

/** A Secret of type kubernetes.io/dockerconfigjson or kubernetes.io/dockercfg. */
export interface PullSecret {
  readonly data?: Readonly<Record<string, string>>;
}

const dockerHub = "index.docker.io";

/** The credentials that fit this image, most specific first. An unreadable secret is skipped. */
export function credentialsFor(image: string, secrets: readonly PullSecret[]): AuthConfig[] {
  const wanted = registryAndPath(image);
  const found: { weight: number; auth: AuthConfig }[] = [];
  for (const { data } of secrets) {
    for (const [key, entry] of Object.entries(readAuths(data))) {
      const place = key
        .replace(/^https?:\/\//, "")
        .replace(/\/v[12]\/?$/, "")
        .replace(/\/$/, "");
      if (matches(place, wanted)) found.push({ weight: place.length, auth: toAuthConfig(entry, place) });
    }
  }
  return found.sort((a, b) => b.weight - a.weight).map(({ auth }) => auth);
}

function readAuths(data: PullSecret["data"]): Record<string, DockerAuth> {
  const read = (key: string): unknown => {
    const text = data?.[key];
    if (!text) return undefined;
    try {
      return JSON.parse(Buffer.from(text, "base64").toString());
    } catch {
      // Somebody's broken secret: the pull goes on without it and says what the registry said.
      return undefined;
    }
  };
  const config = read(".dockerconfigjson") as { auths?: Record<string, DockerAuth> } | undefined; // the file's documented shape
  const old = read(".dockercfg") as Record<string, DockerAuth> | undefined; // likewise
  return { ...old, ...config?.auths };
}

function registryAndPath(image: string): string {
  const { repository } = parseImageReference(image);
  const first = repository.split("/")[0] ?? "";
  const hasDomain = repository.includes("/") && (/[.:]/.test(first) || first === "localhost");
  return hasDomain ? repository : `${dockerHub}/${repository.includes("/") ? repository : `library/${repository}`}`;
}

/** `registry.example.com/team` fits its images; `*.example.com` any one label; Docker's hub has several names. */
function matches(place: string, wanted: string): boolean {
  const [host = "", ...path] = place.split("/");
  const [wantedHost = "", ...wantedPath] = wanted.split("/");
  const alias = (name: string) => (/^(registry-1\.)?docker\.io$/.test(name) ? dockerHub : name);
  const hostParts = alias(host).split(".");
  const wantedParts = alias(wantedHost).split(".");
  if (hostParts.length !== wantedParts.length) return false;
  if (!hostParts.every((part, at) => glob(part, wantedParts[at] ?? ""))) return false;
  return path.every((part, at) => part === wantedPath[at]);
}

const glob = (pattern: string, text: string): boolean =>
  pattern === text ||
  (pattern.includes("*") &&
    new RegExp(
      `^${pattern
        .split("*")
        .map((part) => part.replace(/[^\w-]/g, "\\$&"))
        .join(".*")}$`,
    ).test(text));

function toAuthConfig(
  { username, password, auth, identitytoken, registrytoken }: DockerAuth,
  serverAddress: string,
): AuthConfig {
  const [user = "", ...rest] = auth ? Buffer.from(auth, "base64").toString().split(":") : [];
  return {
    username: username || user,
    password: password || rest.join(":"),
    serverAddress,
    ...(identitytoken ? { identityToken: identitytoken } : {}),
    ...(registrytoken ? { registryToken: registrytoken } : {}),
  };
}
