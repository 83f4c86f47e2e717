/**
 * Deletes what lost its owners, carries out foreground deletion and orphaning. The graph says what to look at; before anything is
 * deleted the object and its owners are read from the server, because the graph is assembled from many watches that don't
 * advance together.
 */
import type { OwnerReference } from "#api";
import type { WorkQueue } from "#client";
import { type DeepReadonly, isStatusError, jsonEqual, type KubernetesObject } from "#machinery";
import { type Controller, defineController, type Loop, onEvery } from "../lib/controller.ts";
import { uidOf } from "../lib/objects.ts";
import { aborted } from "../lib/run-loop.ts";
import { DependencyGraph, foregroundFinalizer, type GraphNode, type Identity, orphanFinalizer } from "./graph.ts";
import { createMonitors } from "./monitors.ts";
import { judge, judgeWaiting, type OwnerFinding } from "./reconcile.ts";

type Latest = DeepReadonly<KubernetesObject>;

const workers = 20;
/** After a change of what is served: several come together. */
const resyncMs = 500;
/** An owner that no event has shown: its event may be a moment behind that of its dependent. */
const patienceMs = 500;
/** Tries of a read and write that must not overlook a change in between. */
const triesMax = 5;
const syncKey = "sync";

export const garbageCollector: Controller = defineController({
  name: "garbage-collector-controller",
  account: "generic-garbage-collector",
  component: "garbage-collector-controller",
  create({ client, informers, events, clock, log }): Loop[] {
    const definitions = informers.of("apiextensions.k8s.io/v1/customresourcedefinitions");
    const services = informers.of("apiregistration.k8s.io/v1/apiservices");
    // Set when the loops start; events of the graph come only afterwards.
    let examineQueue: WorkQueue | undefined;
    let orphanQueue: WorkQueue | undefined;
    const graph = new DependencyGraph({
      examine: (uid) => examineQueue?.add(uid),
      examineLater: (uid) => examineQueue?.addAfter(uid, patienceMs),
      orphan: (uid) => orphanQueue?.add(uid),
      strayOwner(dependent, owner) {
        const { apiVersion, kind, name, namespace, uid } = dependent.identity;
        const shown = `[${owner.apiVersion}/${owner.kind}, namespace: ${namespace}, name: ${owner.name}, uid: ${owner.uid}]`;
        events.event(
          { apiVersion, kind, metadata: { name, namespace, uid } },
          {
            type: "Warning",
            reason: "OwnerRefInvalidNamespace",
            message: `ownerRef ${shown} does not exist in namespace ${JSON.stringify(namespace)}`,
          },
        );
      },
    });
    const monitors = createMonitors({ client, graph, clock, log });

    const clientOf = ({ apiVersion, kind, namespace }: Identity) => {
      const resource = monitors.resourceOf(apiVersion, kind);
      if (!resource) throw new Error(`no resource of kind ${kind} in ${apiVersion} is served`);
      return client.resource<KubernetesObject>(resource, resource.namespaced ? namespace : "");
    };

    /** The object as the server has it; undefined when it, with this uid, is not there. */
    async function read(identity: Identity): Promise<Latest | undefined> {
      try {
        const latest: Latest = await clientOf(identity).get(identity.name);
        return uidOf(latest) === identity.uid ? latest : undefined;
      } catch (error) {
        if (isStatusError(error, "NotFound")) return undefined;
        throw error;
      }
    }

    /** Changes an object's metadata by what it is at that very moment. Does nothing when it is gone. */
    async function change(
      identity: Identity,
      metadataOf: (latest: Latest) => Record<string, unknown> | undefined,
    ): Promise<void> {
      for (let tries = 1; ; tries++) {
        const latest = await read(identity);
        const metadata = latest && metadataOf(latest);
        if (!metadata) return;
        const { resourceVersion } = latest.metadata ?? {};
        try {
          await clientOf(identity).patch(
            identity.name,
            { metadata: { ...metadata, resourceVersion } },
            { type: "merge" },
          );
          return;
        } catch (error) {
          if (isStatusError(error, "NotFound")) return;
          if (!isStatusError(error, "Conflict") || tries >= triesMax) throw error;
        }
      }
    }

    const removeFinalizer = (identity: Identity, finalizer: string) =>
      change(identity, ({ metadata }) => {
        const { finalizers = [] } = metadata ?? {};
        return finalizers.includes(finalizer)
          ? { finalizers: finalizers.filter((name) => name !== finalizer) }
          : undefined;
      });

    /** Without reading first where the server can patch lists by key, which it can for all kinds but custom ones. */
    async function removeOwners(identity: Identity, uids: readonly string[]): Promise<void> {
      const ownerReferences = uids.map((uid) => ({ $patch: "delete", uid }));
      try {
        const patch = { metadata: { uid: identity.uid, ownerReferences } };
        await clientOf(identity).patch(identity.name, patch, { type: "strategic" });
      } catch (error) {
        if (isStatusError(error, "NotFound")) return;
        if (!isStatusError(error, "UnsupportedMediaType")) throw error;
        await removeOwnersOfCustom(identity, uids);
      }
    }

    const removeOwnersOfCustom = (identity: Identity, uids: readonly string[]) =>
      change(identity, ({ metadata }) => {
        const { ownerReferences = [] } = metadata ?? {};
        const kept = ownerReferences.filter(({ uid }) => !uids.includes(uid));
        return kept.length === ownerReferences.length ? undefined : { ownerReferences: kept };
      });

    const unblockOwners = (identity: Identity) =>
      change(identity, ({ metadata }) => ({
        ownerReferences: (metadata?.ownerReferences ?? []).map((owner) => ({ ...owner, blockOwnerDeletion: false })),
      }));

    async function examine(uid: string, queue: WorkQueue): Promise<void> {
      await monitors.ready();
      const node = graph.get(uid);
      // What is going already goes; its dependents come when it is gone.
      if (!node || (node.deleting && !node.waitsForDependents)) return;
      const { identity } = node;
      // Only something without a namespace can name it so, wrongly: whether it is there can't be asked, and the one that named it stays.
      if (identity.namespace === "" && monitors.resourceOf(identity.apiVersion, identity.kind)?.namespaced) return;
      const latest = await read(identity);
      if (!latest) return graph.absent(identity);
      if (node.waitsForDependents) {
        const verdict = judgeWaiting(node);
        if ("done" in verdict) return removeFinalizer(identity, foregroundFinalizer);
        for (const dependent of verdict.examine) queue.add(dependent);
        return;
      }
      const owners = await classify(node, latest);
      if (!owners) return;
      const verdict = judge(node, latest, owners);
      if (verdict.action === "drop-owners") return removeOwners(identity, verdict.uids);
      if (verdict.action === "delete") {
        if (verdict.unblockFirst) await unblockOwners(identity);
        log.debug("deletes what lost its owners", { ...identity, policy: verdict.policy });
        await remove(identity, verdict.policy, verdict.unblockFirst ? undefined : latest);
        return;
      }
      // Not shown by an event yet: look again, or it would stay in the graph for ever if it came and went unseen.
      if (!node.observed) queue.addRateLimited(uid);
    }

    /** `seen`: not when it has other owners by now. */
    async function remove(
      identity: Identity,
      propagationPolicy: "Orphan" | "Background" | "Foreground",
      seen: Latest | undefined,
    ): Promise<void> {
      const { resourceVersion, ownerReferences } = seen?.metadata ?? {};
      const preconditions = { uid: identity.uid, ...(resourceVersion ? { resourceVersion } : {}) };
      try {
        await clientOf(identity).delete(identity.name, { propagationPolicy, preconditions });
      } catch (error) {
        if (isStatusError(error, "NotFound")) return;
        if (!seen || !isStatusError(error, "Conflict")) throw error;
        const now = await read(identity);
        if (!now) return;
        if (!jsonEqual(now.metadata?.ownerReferences, ownerReferences)) throw error;
        // Something else of it changed; what changes all the time would never go.
        await remove(identity, propagationPolicy, undefined);
      }
    }

    /** What is with each owner; undefined when the question makes no sense and never will. */
    async function classify(node: GraphNode, latest: Latest): Promise<OwnerFinding[] | undefined> {
      const findings: OwnerFinding[] = [];
      for (const reference of (latest.metadata?.ownerReferences ?? []) as readonly OwnerReference[]) {
        const { apiVersion, kind, name, uid } = reference;
        const resource = monitors.resourceOf(apiVersion, kind);
        const namespace = resource && !resource.namespaced ? "" : node.identity.namespace;
        const identity = { apiVersion, kind, name, uid, namespace };
        if (graph.isKnownAbsent(identity) || graph.isKnownAbsent({ ...identity, namespace: "" })) {
          findings.push({ reference, state: "absent" });
          continue;
        }
        if (!resource) throw new Error(`owner of kind ${kind} in ${apiVersion}: no such resource is served`);
        if (resource.namespaced && namespace === "") return undefined;
        const owner = await read(identity);
        if (!owner) {
          graph.markAbsent(identity);
          findings.push({ reference, state: "absent" });
        } else {
          const { deletionTimestamp, finalizers = [] } = owner.metadata ?? {};
          const waits = deletionTimestamp !== undefined && finalizers.includes(foregroundFinalizer);
          findings.push({ reference, state: waits ? "waiting" : "solid" });
        }
      }
      return findings;
    }

    async function orphan(uid: string): Promise<void> {
      await monitors.ready();
      const node = graph.get(uid);
      if (!node) return;
      const dependents = [...node.dependents];
      const results = await Promise.allSettled(dependents.map(({ identity }) => removeOwners(identity, [uid])));
      const failed = results.find((result) => result.status === "rejected");
      if (failed) throw failed.reason;
      await removeFinalizer(node.identity, orphanFinalizer);
    }

    return [
      {
        workers: 1,
        watches: (queue) => {
          const mark = () => queue.addAfter(syncKey, resyncMs);
          return [onEvery(definitions, mark), onEvery(services, mark)];
        },
        reconcile: () => monitors.sync(),
        async begin(queue, signal) {
          queue.add(syncKey);
          await aborted(signal);
          await monitors.close();
        },
      },
      {
        workers,
        watches(queue) {
          examineQueue = queue;
          return [];
        },
        reconcile: examine,
      },
      {
        workers: 5,
        watches(queue) {
          orphanQueue = queue;
          return [];
        },
        reconcile: orphan,
      },
    ];
  },
});
