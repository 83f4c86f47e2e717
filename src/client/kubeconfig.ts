/**
 * kubeconfig files → how to reach a server, with client-go's rules: KUBECONFIG is a list of files of which missing ones are
 * skipped, the first file that names a cluster, user, context or the current context wins, paths are relative to the file they
 * stand in, and inline data wins over files. Credential plugins (`exec`, `auth-provider`) run foreign programs; they are refused
 * with a message rather than half supported.
 */
import { readFile } from "node:fs/promises";
import { delimiter, dirname, join, resolve } from "node:path";
import { type Clock, realClock } from "#base";
import type { HttpsTransportOptions } from "./https-transport.ts";

export interface KubeconfigCluster {
  readonly server?: string;
  readonly "certificate-authority"?: string;
  readonly "certificate-authority-data"?: string;
  readonly "insecure-skip-tls-verify"?: boolean;
  readonly "tls-server-name"?: string;
  readonly "proxy-url"?: string;
}

export interface KubeconfigUser {
  readonly "client-certificate"?: string;
  readonly "client-certificate-data"?: string;
  readonly "client-key"?: string;
  readonly "client-key-data"?: string;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly username?: string;
  readonly password?: string;
  readonly as?: string;
  readonly "as-uid"?: string;
  readonly "as-groups"?: readonly string[];
  readonly exec?: unknown;
  readonly "auth-provider"?: unknown;
}

export interface KubeconfigContext {
  readonly cluster?: string;
  readonly user?: string;
  readonly namespace?: string;
}

/** Several files as one; paths in it are absolute. */
export interface Kubeconfig {
  readonly currentContext: string;
  readonly clusters: ReadonlyMap<string, KubeconfigCluster>;
  readonly users: ReadonlyMap<string, KubeconfigUser>;
  readonly contexts: ReadonlyMap<string, KubeconfigContext>;
}

export interface KubeconfigTarget {
  readonly transport: HttpsTransportOptions;
  readonly namespace: string;
  readonly context: string;
}

/** The files to read: `explicit` alone if given, else those of KUBECONFIG, else ~/.kube/config. */
export function kubeconfigPaths(
  environment: Readonly<Record<string, string | undefined>>,
  explicit?: string,
): string[] {
  if (explicit) return [explicit];
  const listed = (environment.KUBECONFIG ?? "").split(delimiter).filter((path) => path !== "");
  if (listed.length > 0) return [...new Set(listed)];
  return environment.HOME ? [join(environment.HOME, ".kube", "config")] : [];
}

/** Reads and merges; with a single path that file must exist. */
export async function readKubeconfig(paths: readonly string[], { mustExist = false } = {}): Promise<Kubeconfig> {
  const merged = {
    currentContext: "",
    clusters: new Map<string, KubeconfigCluster>(),
    users: new Map<string, KubeconfigUser>(),
    contexts: new Map<string, KubeconfigContext>(),
  };
  for (const path of paths) {
    let text: string;
    try {
      text = await readFile(path, "utf8");
    } catch (error) {
      if (!mustExist && error instanceof Error && "code" in error && error.code === "ENOENT") continue;
      throw error;
    }
    const file = await parseFile(path, text);
    merged.currentContext ||= file["current-context"] ?? "";
    mergeNamed(merged.clusters, file.clusters, (entry) => absolute(entry.cluster, path, ["certificate-authority"]));
    mergeNamed(merged.users, file.users, (entry) =>
      absolute(entry.user, path, ["client-certificate", "client-key", "tokenFile"]),
    );
    mergeNamed(merged.contexts, file.contexts, (entry) => entry.context ?? {});
  }
  return merged;
}

interface KubeconfigFile {
  readonly "current-context"?: string;
  readonly clusters?: readonly { name: string; cluster?: KubeconfigCluster }[];
  readonly users?: readonly { name: string; user?: KubeconfigUser }[];
  readonly contexts?: readonly { name: string; context?: KubeconfigContext }[];
}

async function parseFile(path: string, text: string): Promise<KubeconfigFile> {
  const { parse } = await import("yaml");
  const file: unknown = parse(text);
  if (file === null || file === undefined) return {};
  const kind = typeof file === "object" && "kind" in file ? file.kind : "Config";
  if (typeof file !== "object" || kind !== "Config") {
    throw new Error(`${path}: expected a kubeconfig (kind: Config), found ${JSON.stringify(kind)}`);
  }
  return file;
}

function mergeNamed<E extends { name: string }, V>(
  into: Map<string, V>,
  entries: readonly E[] | undefined,
  toValue: (entry: E) => V,
): void {
  for (const entry of entries ?? []) if (!into.has(entry.name)) into.set(entry.name, toValue(entry));
}

function absolute<T extends object>(value: T | undefined, file: string, fields: readonly (keyof T)[]): T {
  const copy = { ...value } as T; // a missing entry is an empty one
  for (const field of fields) {
    const path = copy[field];
    if (typeof path === "string" && path !== "") Object.assign(copy, { [field]: resolve(dirname(file), path) });
  }
  return copy;
}

/** The transport's options for a context (the current one when missing). Reads certificate files. */
export async function kubeconfigTarget(
  config: Kubeconfig,
  { context: wanted, clock = realClock }: { context?: string; clock?: Clock } = {},
): Promise<KubeconfigTarget> {
  const name = wanted ?? config.currentContext;
  if (name === "" && config.clusters.size === 0) {
    throw new Error("invalid configuration: no configuration has been provided, try setting KUBECONFIG");
  }
  const context = config.contexts.get(name);
  if (!context)
    throw new Error(name === "" ? "no current-context is set" : `context ${JSON.stringify(name)} does not exist`);
  const cluster = config.clusters.get(context.cluster ?? "");
  if (!cluster?.server)
    throw new Error(`cluster ${JSON.stringify(context.cluster ?? "")} does not exist or has no server`);
  const user = config.users.get(context.user ?? "") ?? {};
  if (user.exec || user["auth-provider"]) {
    throw new Error(
      `user ${JSON.stringify(context.user)}: credential plugins (exec, auth-provider) are not supported; use a token, a token file or a client certificate`,
    );
  }
  if (cluster["proxy-url"]) throw new Error(`cluster ${JSON.stringify(context.cluster)}: proxy-url is not supported`);
  return {
    context: name,
    namespace: context.namespace || "default",
    transport: {
      server: cluster.server,
      ca: await inlineOrFile(cluster["certificate-authority-data"], cluster["certificate-authority"]),
      insecure: cluster["insecure-skip-tls-verify"],
      serverName: cluster["tls-server-name"],
      cert: await inlineOrFile(user["client-certificate-data"], user["client-certificate"]),
      key: await inlineOrFile(user["client-key-data"], user["client-key"]),
      token: user.token,
      tokenSource: user.tokenFile ? tokenFileSource(user.tokenFile, clock) : undefined,
      username: user.username,
      password: user.password,
      impersonate: user.as ? { user: user.as, uid: user["as-uid"], groups: user["as-groups"] } : undefined,
      clock,
    },
  };
}

async function inlineOrFile(base64: string | undefined, path: string | undefined): Promise<string | undefined> {
  if (base64) return Buffer.from(base64, "base64").toString("utf8");
  return path ? readFile(path, "utf8") : undefined;
}

/** How long a token is used before its file is looked at again, as client-go does for rotated service account tokens. */
const tokenMsMax = 60_000;

/** A token from a file that somebody rotates; a file that can't be read for a moment doesn't cost the last good token. */
export function tokenFileSource(path: string, clock: Clock = realClock): () => Promise<string> {
  let token = "";
  let readAt = -Infinity;
  return async () => {
    if (clock.now() - readAt < tokenMsMax) return token;
    try {
      token = (await readFile(path, "utf8")).trim();
    } catch (error) {
      if (token === "") throw error;
    }
    readAt = clock.now();
    return token;
  };
}
