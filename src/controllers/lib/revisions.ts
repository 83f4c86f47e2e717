/**
 * The history of a DaemonSet or StatefulSet: a ControllerRevision for each template it had, numbered, the newest highest. A template
 * that comes back takes its old revision along under a new number. `data` is a patch that restores the template.
 */
import type { ControllerRevision, PodTemplateSpec } from "#api";
import type { Client } from "#client";
import { isStatusError, jsonEqual } from "#machinery";
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
  /** The others, oldest revision first. */
  readonly old: readonly SeenRevision[];
  /** How often a name was taken by another template. */
  readonly collisions: number;
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
  hash(data: unknown, collisions: number | undefined): string;
  /** The name is taken by another template. Throws when the owner must come again; otherwise the next name is tried. */
  collided?(): Promise<never>;
  /** Several revisions have today's template. */
  merge?(kept: SeenRevision, others: readonly SeenRevision[]): Promise<void>;
}

/** No longer, so that a hash fits behind it. */
const prefixCharactersMax = 223;

export async function syncHistory(options: HistoryOptions): Promise<History> {
  const { client, owner, revisions, ownerKind, hashLabel, hash: hashOf, collided, merge } = options;
  const { template } = owner.spec ?? {};
  if (!template) throw new Error(`${nameOf(owner)}: it has no pod template`);
  const own = client.resource("apps/v1/controllerrevisions", namespaceOf(owner));
  const data = templatePatch(template);
  const sorted = [...revisions].sort(byRevision);
  const found = sorted.findLast((revision) => jsonEqual(revision.data, data));
  const same = found ? sorted.filter((each) => each !== found && jsonEqual(each.data, data)) : [];
  if (found && same.length > 0) await merge?.(found, same);
  const old = sorted.filter((each) => each !== found && !(merge && same.includes(each)));
  const next = Math.max(0, ...old.map(({ revision }) => revision)) + 1;
  let collisions = owner.status?.collisionCount;
  if (found) {
    const isNewest = found.revision >= next || (same.length > 0 && found === sorted.at(-1));
    const raised = { ...(found as ControllerRevision), revision: next }; // sent, never changed
    return { current: isNewest ? found : await own.update(raised), old, collisions: collisions ?? 0 };
  }
  const { annotations } = owner.metadata ?? {};
  for (;;) {
    const hash = hashOf(data, collisions);
    const name = `${nameOf(owner).slice(0, prefixCharactersMax)}-${hash}`;
    try {
      const current = await own.create({
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
        revision: next,
      });
      return { current, old, collisions: collisions ?? 0 };
    } catch (error) {
      if (!isStatusError(error, "AlreadyExists")) throw error;
    }
    const existing = await own.get(name);
    // Ours of a moment ago.
    if (jsonEqual(existing.data, data)) return { current: existing, old, collisions: collisions ?? 0 };
    await collided?.();
    collisions = (collisions ?? 0) + 1;
  }
}

export async function deleteRevisions(client: Client, revisions: readonly SeenRevision[]): Promise<void> {
  for (const revision of revisions) {
    await unlessGone(client.resource("apps/v1/controllerrevisions", namespaceOf(revision)).delete(nameOf(revision)));
  }
}
