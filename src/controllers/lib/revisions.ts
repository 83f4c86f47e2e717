/**
 * The history of a DaemonSet or StatefulSet: a ControllerRevision for each template it had, numbered, the newest highest. A template
 * that comes back takes its old revision along under a new number. `data` is a patch that restores the template.
 */
import type { ControllerRevision, PodTemplateSpec } from "#api";
import type { Client } from "#client";
import { isStatusError, jsonEqual } from "#machinery";
import { contentHash } from "./hash.ts";
import {
  byCreation,
  controllerReference,
  type KindName,
  nameOf,
  namespaceOf,
  type Seen,
  type SeenObject,
} from "./objects.ts";
import { unlessGone } from "./unless-gone.ts";

export type SeenRevision = Seen<ControllerRevision>;

export interface RevisionOwner extends SeenObject {
  readonly spec?: { readonly template: Seen<PodTemplateSpec> } | undefined;
  readonly status?: { readonly collisionCount?: number | undefined } | undefined;
}

export interface History {
  /** Of today's template. */
  readonly current: SeenRevision;
  /** Oldest revision first. */
  readonly old: readonly SeenRevision[];
}

/** With members in order, as upstream writes it: others compare its bytes with those of today's template. */
export const templatePatch = (template: Seen<PodTemplateSpec>): unknown =>
  inOrder({ spec: { template: { ...template, $patch: "replace" } } });

function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(members.map(([key, member]) => [key, inOrder(member)]));
}

const byRevision = (a: SeenRevision, b: SeenRevision) => a.revision - b.revision || byCreation(a, b);

export interface HistoryOptions {
  readonly client: Client;
  readonly owner: RevisionOwner;
  readonly ownerKind: KindName;
  /** Those it controls. */
  readonly revisions: readonly SeenRevision[];
  /** Where the hash is written on the revision. */
  readonly hashLabel: string;
  /** Its name is taken by another template: the count is raised in the owner's status, and the owner comes again. */
  raiseCollisions(count: number): Promise<void>;
}

/** Undefined when a name collided: look again after the status has been written. */
export async function syncHistory(options: HistoryOptions): Promise<History | undefined> {
  const { client, owner, revisions } = options;
  const { template } = owner.spec ?? {};
  if (!template) throw new Error(`${nameOf(owner)}: it has no pod template`);
  const data = templatePatch(template);
  const sorted = [...revisions].sort(byRevision);
  const same = sorted.filter((revision) => jsonEqual(revision.data, data));
  const old = sorted.filter((revision) => !same.includes(revision));
  const next = Math.max(0, ...old.map(({ revision }) => revision)) + 1;
  const found = same.at(-1);
  if (!found) {
    const created = await create(options, { template, data, revision: next });
    return created && { current: created, old };
  }
  if (found.revision >= next) return { current: found, old };
  const raised = { ...(found as ControllerRevision), revision: next }; // sent, never changed
  const current = await client.resource("apps/v1/controllerrevisions", namespaceOf(owner)).update(raised);
  return { current, old };
}

interface NewRevision {
  readonly template: Seen<PodTemplateSpec>;
  readonly data: unknown;
  readonly revision: number;
}

async function create(
  options: HistoryOptions,
  { template, data, revision }: NewRevision,
): Promise<SeenRevision | undefined> {
  const { client, owner, ownerKind, hashLabel, raiseCollisions } = options;
  const own = client.resource("apps/v1/controllerrevisions", namespaceOf(owner));
  const { collisionCount } = owner.status ?? {};
  const hash = contentHash(template, collisionCount);
  const name = `${nameOf(owner)}-${hash}`;
  const { annotations } = owner.metadata ?? {};
  try {
    return await own.create({
      apiVersion: "apps/v1",
      kind: "ControllerRevision",
      metadata: {
        name,
        namespace: namespaceOf(owner),
        labels: { ...template.metadata?.labels, [hashLabel]: hash },
        ...(annotations ? { annotations: { ...annotations } } : {}),
        ownerReferences: [controllerReference(owner, ownerKind)],
      },
      data,
      revision,
    });
  } catch (error) {
    if (!isStatusError(error, "AlreadyExists")) throw error;
  }
  const existing = await own.get(name);
  // Ours of a moment ago.
  if (jsonEqual(existing.data, data)) return existing;
  await raiseCollisions((collisionCount ?? 0) + 1);
  return undefined;
}

/** Old revisions beyond the limit that no pod uses, oldest first. */
export function revisionsToDelete(
  old: readonly SeenRevision[],
  { limit, isUsed }: { limit: number; isUsed(revision: SeenRevision): boolean },
) {
  const unused = old.filter((revision) => !isUsed(revision));
  return unused.slice(0, Math.max(0, unused.length - limit));
}

export async function deleteRevisions(client: Client, revisions: readonly SeenRevision[]): Promise<void> {
  for (const revision of revisions) {
    await unlessGone(client.resource("apps/v1/controllerrevisions", namespaceOf(revision)).delete(nameOf(revision)));
  }
}
