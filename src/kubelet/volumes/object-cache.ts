/**
 * The ConfigMaps and Secrets that this node's pods name, each watched while some pod needs it. One watch per object, because a node may
 * only read what its pods use; pods of a namespace share the common ones.
 */
import type { ConfigMap, Secret } from "#api";
import type { Clock, Logger } from "#base";
import { type Client, createInformers, type Informer } from "#client";
import type { DeepReadonly } from "#machinery";
import type { PodView } from "../core/types.ts";
import type { ObjectData } from "./payload.ts";

export type ObjectKind = "configmaps" | "secrets";

export interface ObjectReference {
  readonly kind: ObjectKind;
  readonly namespace: string;
  readonly name: string;
}

export interface ObjectCache {
  /** Says what this pod needs; what no pod needs any more is forgotten. An empty list for a pod that ended. */
  setNeeds(podUid: string, references: readonly ObjectReference[]): void;
  /** Undefined: there is no such object. Rejects when the API server doesn't answer in time. */
  configMap(reference: Omit<ObjectReference, "kind">): Promise<DeepReadonly<ConfigMap> | undefined>;
  secret(reference: Omit<ObjectReference, "kind">): Promise<DeepReadonly<Secret> | undefined>;
  close(): void;
}

export interface ObjectCacheOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
  /** An object that this pod needs changed, appeared or went away. */
  onChange(podUid: string): void;
}

/** How long a pod waits for an object that nobody has read yet; then it tries again. */
const firstReadMsMax = 10_000;

interface Entry {
  readonly informer: Informer<ConfigMap | Secret>;
  readonly pods: Set<string>;
  readonly stop: AbortController;
}

export function createObjectCache({ client, clock, log, onChange }: ObjectCacheOptions): ObjectCache {
  const entries = new Map<string, Entry>();
  const needs = new Map<string, ReadonlySet<string>>();

  function start({ kind, namespace, name }: ObjectReference): Entry {
    const stop = new AbortController();
    const informers = createInformers(client, { clock, log });
    const selector = { namespace, fieldSelector: `metadata.name=${name}` };
    const informer: Informer<ConfigMap | Secret> =
      kind === "configmaps" ? informers.of("v1/configmaps", selector) : informers.of("v1/secrets", selector);
    const pods = new Set<string>();
    const tell = () => {
      for (const uid of pods) onChange(uid);
    };
    informer.addHandler({ added: tell, updated: tell, deleted: tell });
    informers
      .run(stop.signal)
      .catch((error: unknown) => log.error("watch of a pod's object ended", { kind, namespace, name, error }));
    return { informer, pods, stop };
  }

  async function read(reference: ObjectReference): Promise<DeepReadonly<ConfigMap | Secret> | undefined> {
    const { kind, namespace, name } = reference;
    const entry = entries.get(keyOf(reference));
    if (!entry) throw new Error(`object ${JSON.stringify(namespace)}/${JSON.stringify(name)} not registered`);
    if (!entry.informer.hasSynced()) {
      let cancel = (): void => undefined;
      const late = new Promise<never>((_, reject) => {
        const what = kind === "configmaps" ? "configmap" : "secret";
        cancel = clock.after(firstReadMsMax, () =>
          reject(new Error(`failed to sync ${what} cache: timed out waiting for the condition`)),
        );
      });
      await Promise.race([entry.informer.synced(), late]).finally(() => cancel());
    }
    return entry.informer.get(`${namespace}/${name}`);
  }

  function drop(key: string, podUid: string): void {
    const entry = entries.get(key);
    entry?.pods.delete(podUid);
    if (entry?.pods.size !== 0) return;
    entry.stop.abort();
    entries.delete(key);
  }

  return {
    setNeeds(podUid, references) {
      const before = needs.get(podUid) ?? new Set<string>();
      const after = new Set(references.map(keyOf));
      for (const reference of references) {
        const key = keyOf(reference);
        let entry = entries.get(key);
        if (!entry) {
          entry = start(reference);
          entries.set(key, entry);
        }
        entry.pods.add(podUid);
      }
      for (const key of before) if (!after.has(key)) drop(key, podUid);
      if (after.size > 0) needs.set(podUid, after);
      else needs.delete(podUid);
    },
    configMap: (reference) =>
      read({ kind: "configmaps", ...reference }) as Promise<DeepReadonly<ConfigMap> | undefined>, // by kind
    secret: (reference) => read({ kind: "secrets", ...reference }) as Promise<DeepReadonly<Secret> | undefined>, // by kind
    close() {
      for (const { stop } of entries.values()) stop.abort();
      entries.clear();
      needs.clear();
    },
  };
}

const keyOf = ({ kind, namespace, name }: ObjectReference): string => `${kind}/${namespace}/${name}`;

/** Bytes of a ConfigMap's values, text and binary. */
export const configMapData = ({ data, binaryData }: DeepReadonly<ConfigMap>): ObjectData => ({
  ...Object.fromEntries(Object.entries(data ?? {}).map(([key, text]) => [key, Buffer.from(text)])),
  ...Object.fromEntries(Object.entries(binaryData ?? {}).map(([key, text]) => [key, Buffer.from(text, "base64")])),
});

export const secretData = ({ data }: DeepReadonly<Secret>): ObjectData =>
  Object.fromEntries(Object.entries(data ?? {}).map(([key, text]) => [key, Buffer.from(text, "base64")]));

/** Everything that a pod's spec names: variables, volumes and pull secrets. */
export function podReferences(pod: PodView): ObjectReference[] {
  const namespace = pod.metadata.namespace ?? "";
  const found: ObjectReference[] = [];
  const add = (kind: ObjectKind, name: string | undefined) => {
    if (name) found.push({ kind, namespace, name });
  };
  const {
    initContainers = [],
    containers = [],
    ephemeralContainers = [],
    volumes = [],
    imagePullSecrets = [],
  } = pod.spec ?? {};
  for (const { env = [], envFrom = [] } of [...initContainers, ...containers, ...ephemeralContainers]) {
    for (const { configMapRef, secretRef } of envFrom) {
      add("configmaps", configMapRef?.name);
      add("secrets", secretRef?.name);
    }
    for (const { valueFrom } of env) {
      add("configmaps", valueFrom?.configMapKeyRef?.name);
      add("secrets", valueFrom?.secretKeyRef?.name);
    }
  }
  for (const { configMap, secret, projected } of volumes) {
    add("configmaps", configMap?.name);
    add("secrets", secret?.secretName);
    for (const source of projected?.sources ?? []) {
      add("configmaps", source.configMap?.name);
      add("secrets", source.secret?.name);
    }
  }
  for (const { name } of imagePullSecrets) add("secrets", name);
  return found;
}
