/**
 * Ends namespaces: deletes everything in them, pods first (what they use must outlive them), says in conditions what still holds them
 * up, and lets them go when nothing is left. This is the one reconcile that lists from the server: only the server, not a cache,
 * can say that nothing of any resource is left, custom ones included.
 */
import type { Namespace } from "#api";
import { type DiscoveredResource, describeFailures, discover, type Discovery } from "../lib/discovery.ts";
import { keyOf, resourcePath, type WorkQueue } from "#client";
import { type DeepReadonly, isStatusError, type KubernetesList, timeMs } from "#machinery";
import { type Controller, defineController, watch } from "../lib/controller.ts";
import { isDeleting, nameOf, namespaceOf, type Seen, type SeenObject } from "../lib/objects.ts";
import { messageOf } from "../lib/pod-control.ts";
import { isPodFinished } from "../lib/pods.ts";
import { type ContentReport, estimateSeconds, namespaceConditions, nextLookMs, type Remains } from "./reconcile.ts";

const namespaceFinalizer = "kubernetes";
/** Before the first look, so that every API server has seen that the namespace goes and lets nothing new in. */
const delayMsDefault = 5000;

export const namespaceController: Controller = defineController({
  name: "namespace-controller",
  create({ client, informers, clock, options }) {
    const namespaces = informers.of("v1/namespaces");
    const pods = informers.of("v1/pods");
    const own = client.resource("v1/namespaces");
    const delayMs = options.namespaceDelayMs ?? delayMsDefault;

    function watches(queue: WorkQueue) {
      const mark = (namespace: Seen<Namespace>) => {
        if (!isDeleting(namespace)) return;
        const age = clock.now() - timeMs(namespace.metadata.deletionTimestamp);
        queue.addAfter(keyOf(namespace), Math.max(0, delayMs - age));
      };
      return [
        watch(namespaces, { added: mark, updated: mark }),
        // The last pod's end lets the rest go; nobody should wait for its whole grace period.
        watch(pods, {
          deleted(pod) {
            const namespace = namespaces.get(namespaceOf(pod));
            if (namespace && isDeleting(namespace) && pods.list(namespaceOf(pod)).length === 0) mark(namespace);
          },
        }),
      ];
    }

    async function reconcile(key: string, queue: WorkQueue): Promise<void> {
      if (!namespaces.get(key)) return;
      let namespace: DeepReadonly<Namespace>;
      try {
        namespace = await own.get(key);
        if (!isDeleting(namespace)) return;
        if (namespace.status?.phase !== "Terminating") {
          namespace = await own.updateStatus({
            ...(namespace as Namespace), // sent, never changed
            status: { ...(namespace as Namespace).status, phase: "Terminating" },
          });
        }
      } catch (error) {
        if (isStatusError(error, "NotFound")) return;
        throw error;
      }
      if ((namespace.spec?.finalizers ?? []).length === 0) return;
      const graceSeconds = podGraceSeconds(namespace);
      const report = await deleteContent(key, graceSeconds);
      const conditions = namespaceConditions(namespace.status?.conditions ?? [], report, clock.now());
      if (conditions) {
        namespace = await own.updateStatus({
          ...(namespace as Namespace), // sent, never changed
          status: { ...(namespace as Namespace).status, conditions },
        });
      }
      const failures = [...(report.discoveryFailure ? [report.discoveryFailure] : []), ...report.failures];
      if (failures.length > 0) throw new Error(`deletion of namespace ${key} failed: ${failures.join(", ")}`);
      if (report.remains.length === 0) return finalize(namespace);
      const longest = Math.max(...report.remains.map((each) => estimateSeconds(each, graceSeconds)));
      queue.addAfter(key, nextLookMs(longest));
    }

    async function finalize(namespace: DeepReadonly<Namespace>): Promise<void> {
      const finalizers = (namespace.spec?.finalizers ?? []).filter((name) => name !== namespaceFinalizer);
      const { apiVersion = "v1", kind = "Namespace", metadata } = namespace;
      try {
        await own.updateSubresource(nameOf(namespace), "finalize", {
          apiVersion,
          kind,
          metadata,
          spec: { finalizers },
        });
      } catch (error) {
        if (!isStatusError(error, "NotFound")) throw error;
      }
    }

    /** The longest that a pod may still take, by what is left of its time since the namespace was deleted. */
    function podGraceSeconds(namespace: Seen<Namespace>): number {
      const grace = pods
        .list(nameOf(namespace))
        .filter((pod) => !isPodFinished(pod))
        .map((pod) => pod.spec?.terminationGracePeriodSeconds ?? 0);
      const longest = Math.max(0, ...grace);
      const age = clock.now() - timeMs(namespace.metadata.deletionTimestamp);
      return age >= longest * 1000 ? 0 : longest;
    }

    async function deleteContent(namespace: string, graceSeconds: number): Promise<ContentReport> {
      let found: Discovery;
      try {
        found = await discover(client);
      } catch (error) {
        return { discoveryFailure: messageOf(error), failures: [], remains: [] };
      }
      const discoveryFailure =
        found.failures.size > 0
          ? `Discovery failed for some groups, ${found.failures.size} failing: ${describeFailures(found.failures)}`
          : undefined;
      const failures: string[] = [];
      const remains: Remains[] = [];
      const empty = async (resource: DiscoveredResource) => {
        try {
          const left = await deleteAll(resource, namespace);
          if (!left) return;
          remains.push(left);
          if (estimateSeconds(left, graceSeconds) > 0) return;
          const { group, version, resource: name } = left;
          const which = `${namespace} for gvr: ${group}/${version}, Resource=${name}`;
          failures.push(`unexpected items still remain in namespace: ${which}`);
        } catch (error) {
          failures.push(messageOf(error));
        }
      };
      const deletable = found.resources.filter(
        ({ preferred, namespaced, verbs }) => preferred && namespaced && verbs.includes("delete"),
      );
      const arePods = ({ group, resource }: DiscoveredResource) => group === "" && resource === "pods";
      for (const resource of deletable.filter(arePods)) await empty(resource);
      const podsRemain = remains.length > 0;
      if (!podsRemain) await Promise.all(deletable.filter((resource) => !arePods(resource)).map(empty));
      return { ...(discoveryFailure ? { discoveryFailure } : {}), failures, remains, podsRemain };
    }

    async function deleteAll(resource: DiscoveredResource, namespace: string): Promise<Remains | undefined> {
      const objects = client.resource(resource, namespace);
      const list = async (): Promise<readonly SeenObject[]> => {
        if (!resource.verbs.includes("list")) return [];
        try {
          const path = resourcePath(resource, { namespace });
          const answer = await client.transport.request({ method: "GET", path, metadataOnly: true });
          return (answer as DeepReadonly<KubernetesList>).items ?? []; // a collection's GET answers a list, an empty one null
        } catch (error) {
          if (isUnsupported(error)) return [];
          throw error;
        }
      };
      const policy = { propagationPolicy: "Background" } as const;
      if (!(await deleteCollection())) {
        for (const object of await list()) {
          await objects.delete(nameOf(object), policy).catch((error: unknown) => {
            if (!isUnsupported(error)) throw error;
          });
        }
      }
      const left = await list();
      if (left.length === 0) return undefined;
      const finalizers = new Map<string, number>();
      for (const name of left.flatMap((object) => object.metadata?.finalizers ?? [])) {
        finalizers.set(name, (finalizers.get(name) ?? 0) + 1);
      }
      const { group, version, resource: plural } = resource;
      return { group, version, resource: plural, count: left.length, finalizers };

      async function deleteCollection(): Promise<boolean> {
        if (!resource.verbs.includes("deletecollection")) return false;
        try {
          await objects.deleteCollection(policy);
          return true;
        } catch (error) {
          if (isUnsupported(error)) return false;
          throw error;
        }
      }
    }

    return [{ watches, reconcile, workers: 10, retryMs: [5, 60_000] }];
  },
});

const isUnsupported = (error: unknown): boolean =>
  isStatusError(error, "NotFound") || isStatusError(error, "MethodNotAllowed");
