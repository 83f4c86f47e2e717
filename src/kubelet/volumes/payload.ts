/** What the files of configMap, secret, downwardAPI and projected volumes hold. Pure, except for the reads that come in. */
import type { Volume } from "#api";
import type { DeepReadonly } from "#machinery";
import { type DownwardContext, fieldValue, resourceValue } from "../core/downward.ts";
import type { PodView } from "../core/types.ts";
import type { Payload, PayloadFile } from "./atomic-writer.ts";

export type VolumeView = DeepReadonly<Volume>;
type Projected = NonNullable<VolumeView["projected"]>;
type DownwardItems = NonNullable<NonNullable<VolumeView["downwardAPI"]>["items"]>;
type KeyToPath = NonNullable<NonNullable<VolumeView["configMap"]>["items"]>;

/** Values of a configMap or secret, ready to be written. */
export type ObjectData = Readonly<Record<string, Uint8Array>>;

export interface PayloadSources extends DownwardContext {
  /** Undefined: there is no such object. Rejects when nobody knows. */
  configMap(name: string): Promise<ObjectData | undefined>;
  secret(name: string): Promise<ObjectData | undefined>;
  token(request: { audience: string; expirationSeconds: number }): Promise<string>;
}

const modeDefault = 0o644;

/** Undefined for volumes of another kind. Rejects with the text of the FailedMount event. */
export async function volumePayload(
  pod: PodView,
  volume: VolumeView,
  sources: PayloadSources,
): Promise<Payload | undefined> {
  const { configMap, secret, downwardAPI, projected } = volume;
  if (configMap) return new Map(await objectFiles("configmap", { ...configMap, name: configMap.name ?? "" }, sources));
  if (secret) return new Map(await objectFiles("secret", { ...secret, name: secret.secretName ?? "" }, sources));
  if (downwardAPI) return new Map(downwardFiles(pod, downwardAPI.items ?? [], { ...downwardAPI, sources }));
  return projected ? projectedFiles(pod, projected, sources) : undefined;
}

interface ObjectSource {
  readonly name: string;
  readonly items?: KeyToPath;
  readonly optional?: boolean;
  readonly defaultMode?: number;
}

async function objectFiles(
  kind: "configmap" | "secret",
  { name, items, optional = false, defaultMode = modeDefault }: ObjectSource,
  sources: PayloadSources,
): Promise<[string, PayloadFile][]> {
  const data = await (kind === "configmap" ? sources.configMap(name) : sources.secret(name));
  if (!data) {
    if (optional) return [];
    throw new Error(`${kind} ${JSON.stringify(name)} not found`);
  }
  if (!items?.length) return Object.entries(data).map(([key, bytes]) => [key, { bytes, mode: defaultMode }]);
  return items.flatMap(({ key, path, mode }): [string, PayloadFile][] => {
    const bytes = data[key];
    if (bytes) return [[path, { bytes, mode: mode ?? defaultMode }]];
    if (optional) return [];
    throw new Error(
      kind === "configmap"
        ? `configmap references non-existent config key: ${key}`
        : `references non-existent secret key: ${key}`,
    );
  });
}

function downwardFiles(
  pod: PodView,
  items: DownwardItems,
  { defaultMode = modeDefault, sources }: { defaultMode?: number; sources: PayloadSources },
): [string, PayloadFile][] {
  return items.map(({ path, mode, fieldRef, resourceFieldRef }) => {
    const text = fieldRef
      ? fieldValue(pod, fieldRef.fieldPath, sources)
      : resourceFieldRef
        ? resourceValue(pod, resourceFieldRef, { container: undefined, allocatable: sources.allocatable })
        : "";
    return [path, { bytes: Buffer.from(text), mode: mode ?? defaultMode }];
  });
}

/** All sources in one directory; every failure is told at once, later sources win over earlier ones. */
async function projectedFiles(
  pod: PodView,
  { sources: list = [], defaultMode }: Projected,
  sources: PayloadSources,
): Promise<Payload> {
  const mode = defaultMode ?? modeDefault;
  const files = new Map<string, PayloadFile>();
  const failures: string[] = [];
  const collected = await Promise.allSettled(
    list.map(async ({ configMap, secret, downwardAPI, serviceAccountToken }): Promise<[string, PayloadFile][]> => {
      if (configMap)
        return objectFiles("configmap", { ...configMap, name: configMap.name ?? "", defaultMode: mode }, sources);
      if (secret) return objectFiles("secret", { ...secret, name: secret.name ?? "", defaultMode: mode }, sources);
      if (downwardAPI) return downwardFiles(pod, downwardAPI.items ?? [], { defaultMode: mode, sources });
      if (!serviceAccountToken) throw new Error("this kind of projected source is not supported on this node");
      const { audience = "", expirationSeconds = 3600, path } = serviceAccountToken;
      const token = await sources.token({ audience, expirationSeconds });
      return [[path, { bytes: Buffer.from(token), ...tokenAccess(pod, mode) }]];
    }),
  );
  for (const result of collected) {
    if (result.status === "fulfilled") for (const [path, file] of result.value) files.set(path, file);
    else failures.push(result.reason instanceof Error ? result.reason.message : String(result.reason));
  }
  if (failures.length > 0) throw new Error(failures.length === 1 ? failures[0] : `[${failures.join(", ")}]`);
  return files;
}

/** A token is for the one user that all containers run as, and for the pod's group; for everybody only if neither is known. */
function tokenAccess(pod: PodView, mode: number): { mode: number; uid?: number } {
  const whole = pod.spec?.securityContext;
  const containers = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])];
  const users = new Set(containers.map(({ securityContext }) => securityContext?.runAsUser ?? whole?.runAsUser));
  const [user] = users;
  if (users.size === 1 && user !== undefined) return { mode: 0o600, uid: user };
  // Giving it to the group widens that.
  return { mode: whole?.fsGroup === undefined ? mode : 0o600 };
}
