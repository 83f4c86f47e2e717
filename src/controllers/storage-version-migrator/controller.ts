/**
 * Writes every object of a resource once more, as it is, so that the store has it in the version and under the key of today. Off unless
 * the feature StorageVersionMigrator is on. Of several migrations of a resource one runs at a time. It notes the newest revision
 * first: what was written later needn't be written again, so a migration that was broken off goes on where it was.
 *
 * Upstream goes through the garbage collector's cache. Ours keeps no such copy; objects are asked for page by page, metadata only.
 */
import type { CustomResourceDefinition, StorageVersionMigration } from "#api";
import { resourcePath } from "#client";
import {
  type DeepReadonly,
  formatTime,
  isStatusError,
  type KubernetesList,
  type KubernetesObject,
  whyNoResourceVersion,
} from "#machinery";
import { type Controller, defineController, onEvery } from "../lib/controller.ts";
import { type DiscoveredResource, discover } from "../lib/discovery.ts";
import { draft, nameOf, namespaceOf, type Seen, uidOf } from "../lib/objects.ts";
import { messageOf } from "../lib/pod-control.ts";
import { unlessGone, unlessOther } from "../lib/unless-gone.ts";
import {
  definitionFinished,
  definitionStarted,
  finished,
  isBehind,
  judgeRefusal,
  keyOfResource,
  patienceMs,
  planMigrations,
  resourceOfKey,
  rewriting,
  verbsNeeded,
  withCondition,
} from "./reconcile.ts";

type Migration = Seen<StorageVersionMigration>;
type MetadataList = DeepReadonly<KubernetesList<KubernetesObject>>;

const name = "storage-version-migrator-controller";
const runner = "migration-runner-controller";
/** Objects of a page: bounds what is in memory. */
const pageSize = 500;

const apiVersionOf = ({ group, version }: DiscoveredResource) => (group === "" ? version : `${group}/${version}`);
/** As Go prints it. */
const printed = ({ group, version, resource }: DiscoveredResource) => `${group}/${version}, Resource=${resource}`;

export const storageVersionMigrator: Controller = defineController({
  name,
  create({ client, informers, clock, log, options }) {
    if (!options.storageVersionMigration) return [];
    const migrations = informers.of("storagemigration.k8s.io/v1beta1/storageversionmigrations");
    migrations.addIndex("resource", (migration) => [keyOfResource(migration)]);
    const definitions = client.resource("apiextensions.k8s.io/v1/customresourcedefinitions");
    const now = () => formatTime(clock.now());

    // Of an old state or one that is gone: the event that says so comes back here.
    const note = (next: StorageVersionMigration) =>
      unlessOther(client.resource("storagemigration.k8s.io/v1beta1/storageversionmigrations").updateStatus(next));
    const fail = (migration: Migration, message: string) =>
      note(withCondition(migration, { type: "Failed", message, at: now() }));
    const failUnhandled = (migration: Migration, message: string) =>
      fail(migration, `migration encountered unhandled error: ${message}`);

    /** A conflict is an error: it is done again with what is there then. */
    async function mark(key: string, status: (definition: Seen<CustomResourceDefinition>) => object): Promise<void> {
      const { group, resource } = resourceOfKey(key);
      const definition = await unlessGone(definitions.get(`${resource}.${group}`));
      if (!definition) return;
      const how = { type: "apply", subresource: "status", fieldManager: runner, force: true } as const;
      await definitions.patch(nameOf(definition), status(definition), how);
    }

    async function find(key: string): Promise<DiscoveredResource | undefined> {
      const wanted = resourceOfKey(key);
      const { resources, failures } = await discover(client);
      const found = resources.find(
        ({ group, resource, preferred }) => preferred && group === wanted.group && resource === wanted.resource,
      );
      const failure = [...failures].find(([of]) => (of.includes("/") ? of.split("/")[0] : "") === wanted.group);
      if (!found && failure) throw new Error(`${failure[0]} can't be discovered: ${failure[1]}`);
      return found;
    }

    /** Throws while it may still come. */
    function checkPatience({ metadata }: Migration): void {
      if (Date.parse(metadata.creationTimestamp ?? "") + patienceMs > clock.now())
        throw new Error("the resource is not served, yet");
    }

    const page = (resource: DiscoveredResource, query: { readonly limit: number; readonly continue?: string }) =>
      client.transport.request({
        ...{ method: "GET", path: resourcePath(resource), query, metadataOnly: true },
      }) as Promise<MetadataList>; // what the path promises

    async function begin(migration: Migration, resource: DiscoveredResource | undefined): Promise<void> {
      if (!resource) {
        checkPatience(migration);
        return fail(migration, "resource does not exist in discovery");
      }
      if (!verbsNeeded.every((verb) => resource.verbs.includes(verb))) {
        const what = JSON.stringify(printed(resource));
        return fail(migration, `resource ${what} does not support discovery operations: [${verbsNeeded.join(" ")}]`);
      }
      const { metadata } = await page(resource, { limit: 1 });
      const { resourceVersion = "" } = metadata ?? {};
      const malformed = whyNoResourceVersion(resourceVersion);
      if (malformed)
        return fail(migration, `latest resourceVersion for ${printed(resource)} is not valid: ${malformed}`);
      const next = draft<StorageVersionMigration>(migration);
      next.status = { ...next.status, resourceVersion };
      await note(next);
    }

    /** Why it failed; undefined: all are written. Throws to be tried again, with what is left. */
    async function rewriteAll(checkpoint: string, resource: DiscoveredResource, goesOn: () => boolean) {
      const type = { apiVersion: apiVersionOf(resource), kind: resource.kind };
      let next: string | undefined;
      do {
        const list: MetadataList = await page(resource, { limit: pageSize, ...(next && { continue: next }) }).catch(
          (error: unknown) => {
            // The snapshot is too old: the rest of what is there today does as well.
            const rest = isStatusError(error, "Expired") && (error.status.metadata as { continue?: string }).continue;
            if (rest) return { items: [], metadata: { continue: rest } };
            throw error;
          },
        );
        for (const object of list.items) {
          if (!goesOn()) return undefined;
          const behind = isBehind(object, checkpoint);
          if (typeof behind === "string") return behind;
          if (!behind) continue;
          try {
            const own = client.resource<KubernetesObject>(resource, namespaceOf(object));
            await own.patch(nameOf(object), rewriting(object, type), { type: "apply", fieldManager: name });
          } catch (error) {
            const fate = judgeRefusal(error);
            if (fate === "again") throw error;
            if (fate === "failed") return messageOf(error);
          }
        }
        next = list.metadata?.continue;
      } while (next);
      return undefined;
    }

    async function migrate(migration: Migration, resource: DiscoveredResource | undefined): Promise<void> {
      if (!resource) {
        checkPatience(migration);
        return failUnhandled(migration, "unable to obtain GVR from discovery");
      }
      const goesOn = () => {
        const current = migrations.get(nameOf(migration));
        return current !== undefined && uidOf(current) === uidOf(migration);
      };
      const failure = await rewriteAll(migration.status?.resourceVersion ?? "", resource, goesOn);
      if (failure !== undefined) return failUnhandled(migration, failure);
      await note(withCondition(migration, { type: "Succeeded", at: now() }));
      log.debug("all objects are stored anew", { migration: nameOf(migration) });
    }

    return [
      {
        watches: (queue) => [onEvery(migrations, (migration) => queue.add(keyOfResource(migration)))],
        async reconcile(key, queue) {
          const { finish, running, promote } = planMigrations(migrations.by("resource", key));
          for (const migration of finish) {
            await mark(key, (definition) => definitionFinished(definition, migration, now()));
            await note(finished(migration, now()));
          }
          if (promote) {
            await mark(key, (definition) => definitionStarted(definition, promote, now()));
            await note(withCondition(promote, { type: "Running", at: now() }));
          }
          if (running.length === 0) return;
          const resource = await find(key);
          try {
            for (const migration of running)
              await (migration.status?.resourceVersion ? migrate : begin)(migration, resource);
          } catch (error) {
            const { retryAfterSeconds } = (isStatusError(error) && error.status.details) || {};
            if (!retryAfterSeconds) throw error;
            queue.addAfter(key, retryAfterSeconds * 1000);
          }
        },
      },
    ];
  },
});
