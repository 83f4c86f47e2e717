/**
 * Carries out what was decided about a pod's volumes before the pod is bound: reserves volumes for claims, tells provisioners the node, and
 * waits until the claims are bound by whoever does that (the volume controller, a provisioner).
 */
import type { PersistentVolume, PersistentVolumeClaim } from "#api";
import type { Clock } from "#base";
import type { Client } from "#client";
import type { NodeInfo } from "./core/node-info.ts";
import { isFullyBound, selectedNodeAnnotation, type StorageObjects } from "./core/storage.ts";
import { isReachable, type VolumePlan } from "./core/volume-binding.ts";

export interface VolumeBinder {
  /** Rejects when the claims don't get their volumes within `bindTimeoutMs`. */
  bind(
    plan: VolumePlan,
    node: NodeInfo,
    options: { isWanted: () => boolean; signal: AbortSignal; bindTimeoutMs: number },
  ): Promise<void>;
  /** Looks again: storage or pods changed. */
  notify(): void;
}

export function createVolumeBinder(options: { client: Client; storage: StorageObjects; clock: Clock }): VolumeBinder {
  const { client, storage, clock } = options;
  const waiters = new Set<() => void>();

  /** Whether all is bound; throws when it will not be. `storage` is what the server shows, not what is assumed. */
  function isDone(written: WrittenPlan, node: NodeInfo): boolean {
    for (const { claim, volume } of written.bindings) {
      const current = storage.volume(volume.name);
      if (!current) throw new Error(`failed to check binding: persistentvolume "${volume.name}" not found`);
      if (isOlder(current.metadata.resourceVersion, volume.resourceVersion)) return false;
      if (!isReachable(current, node)) {
        throw new Error(`pv "${volume.name}" node affinity doesn't match node "${node.name}"`);
      }
      if (!current.spec?.claimRef?.uid) throw new Error(`ClaimRef got reset for pv "${volume.name}"`);
      const bound = storage.claim(claim);
      if (!bound) throw new Error(`failed to check binding: persistentvolumeclaim "${claim}" not found`);
      if (!isFullyBound(bound)) return false;
    }
    for (const { key, name, resourceVersion } of written.provisions) {
      const claim = storage.claim(key);
      if (!claim) throw new Error(`failed to check provisioning pvc: persistentvolumeclaim "${key}" not found`);
      if (isOlder(claim.metadata.resourceVersion, resourceVersion)) return false;
      // A provisioner that can't takes the annotation away.
      if (claim.metadata.annotations?.[selectedNodeAnnotation] !== node.name) {
        throw new Error(`provisioning failed for PVC "${name}"`);
      }
      const volume = claim.spec?.volumeName ? storage.volume(claim.spec.volumeName) : undefined;
      if (volume && !isReachable(volume, node)) {
        throw new Error(`pv "${volume.metadata.name}" node affinity doesn't match node "${node.name}"`);
      }
      if (!volume || !isFullyBound(claim)) return false;
    }
    return true;
  }

  async function write({ bindings, provisions }: VolumePlan): Promise<WrittenPlan> {
    const written: WrittenPlan = { bindings: [], provisions: [] };
    for (const { claim, volume } of bindings) {
      const { metadata } = await client.resource("v1/persistentvolumes").update(volume as PersistentVolume); // only sent
      const { namespace, name } = claim.metadata;
      const { name: volumeName = "", resourceVersion } = metadata;
      written.bindings.push({ claim: `${namespace}/${name}`, volume: { name: volumeName, resourceVersion } });
    }
    for (const claim of provisions) {
      const { namespace, name = "" } = claim.metadata;
      const { metadata } = await client
        .resource("v1/persistentvolumeclaims", namespace)
        .update(claim as PersistentVolumeClaim); // only sent
      written.provisions.push({ key: `${namespace}/${name}`, name, resourceVersion: metadata.resourceVersion });
    }
    return written;
  }

  return {
    async bind(plan, node, { isWanted, signal, bindTimeoutMs }) {
      const written = await write(plan);
      await new Promise<void>((resolve, reject) => {
        const end = (error?: Error) => {
          waiters.delete(look);
          cancelTimeout();
          signal.removeEventListener("abort", onAbort);
          if (error) reject(error);
          else resolve();
        };
        const onAbort = () => end(new Error("binding volumes: context canceled"));
        const look = () => {
          try {
            if (!isWanted()) end(new Error("binding volumes: pod does not exist any more"));
            else if (isDone(written, node)) end();
          } catch (error) {
            end(new Error(`binding volumes: ${error instanceof Error ? error.message : error}`, { cause: error }));
          }
        };
        const cancelTimeout = clock.after(bindTimeoutMs, () =>
          end(new Error("binding volumes: context deadline exceeded")),
        );
        waiters.add(look);
        signal.addEventListener("abort", onAbort, { once: true });
        if (signal.aborted) onAbort();
        else look();
      });
    },
    notify() {
      for (const look of [...waiters]) look();
    },
  };
}

interface WrittenPlan {
  readonly bindings: { readonly claim: string; readonly volume: Version & { readonly name: string } }[];
  readonly provisions: (Version & { readonly key: string; readonly name: string })[];
}

interface Version {
  readonly resourceVersion: string | undefined;
}

/** Resource versions of one resource can be compared (since 1.35 by promise, before it by practice). */
const isOlder = (shown = "0", written = "0"): boolean => BigInt(shown) < BigInt(written);
