/**
 * Who manages what: an owner adopts matching objects without a controller and releases its own that no longer match.
 * The decision is pure; before the first adoption the owner is read afresh, because one that was just deleted (its cache
 * doesn't show it yet) must not adopt what its garbage collection is about to orphan.
 */
import type { Client, ResourceReference } from "#client";
import { type DeepReadonly, isStatusError, type KubernetesObject, type Labels } from "#machinery";
import {
  controllerOf,
  controllerReference,
  isDeleting,
  type KindName,
  nameOf,
  namespaceOf,
  type SeenObject,
  uidOf,
} from "./objects.ts";
import { unlessGone } from "./unless-gone.ts";

export interface Claims<T> {
  readonly owned: readonly T[];
  readonly adopt: readonly T[];
  readonly release: readonly T[];
}

/** Sorts candidates into those that are the owner's, those it should take and those it should let go. */
export function planClaims<T extends SeenObject>(
  owner: SeenObject,
  candidates: readonly T[],
  matches: (labels: Labels | undefined, candidate: T) => boolean,
): Claims<T> {
  const owned: T[] = [];
  const adopt: T[] = [];
  const release: T[] = [];
  for (const candidate of candidates) {
    const controller = controllerOf(candidate);
    const isMatch = matches(candidate.metadata?.labels, candidate);
    if (controller) {
      if (controller.uid !== uidOf(owner)) continue;
      if (isMatch) owned.push(candidate);
      else if (!isDeleting(owner)) release.push(candidate);
    } else if (
      isMatch &&
      !isDeleting(owner) &&
      !isDeleting(candidate) &&
      namespaceOf(candidate) === namespaceOf(owner)
    ) {
      adopt.push(candidate);
    }
  }
  return { owned, adopt, release };
}

export interface ClaimOptions<T> {
  readonly client: Client;
  readonly owner: SeenObject;
  readonly ownerKind: KindName;
  readonly ownerResource: ResourceReference;
  readonly resource: ResourceReference;
  readonly kind: string;
  readonly claims: Claims<T>;
  /** Written together with an adoption: jobs keep their finished pods by one. */
  readonly finalizer?: string;
}

/** Carries the claims out. Answers what is the owner's now; throws after all have been tried. */
export async function carryOutClaims<T extends SeenObject>(options: ClaimOptions<T>): Promise<readonly T[]> {
  const { client, owner, ownerKind, ownerResource, resource, claims, finalizer } = options;
  if (claims.adopt.length === 0 && claims.release.length === 0) return claims.owned;
  const objects = client.resource<KubernetesObject>(resource, namespaceOf(owner));
  const failures: unknown[] = [];
  const attempt = (work: Promise<unknown>) => work.catch((error: unknown) => failures.push(error));
  await Promise.all(
    claims.release.map((object) =>
      attempt(releaseOne(object, { objects, owner, ...(finalizer ? { finalizer } : {}) })),
    ),
  );
  const taken: T[] = [];
  if (claims.adopt.length > 0) {
    try {
      await recheck(client, owner, { resource: ownerResource, kind: ownerKind.kind });
      const reference = controllerReference(owner, ownerKind);
      await Promise.all(
        claims.adopt.map(async (object) => {
          const metadata = {
            uid: uidOf(object),
            ownerReferences: [reference],
            ...(finalizer ? { finalizers: [finalizer] } : {}),
          };
          await attempt(
            unlessGone(objects.patch(nameOf(object), { metadata }, { type: "strategic" })).then((answer) => {
              if (answer) taken.push(object);
            }),
          );
        }),
      );
    } catch (error) {
      const object = claims.adopt[0];
      failures.push(
        object
          ? new Error(
              `can't adopt ${options.kind} ${namespaceOf(object)}/${nameOf(object)} (${uidOf(object)}): ${(error as Error).message}`,
              { cause: error },
            )
          : error,
      );
    }
  }
  if (failures.length > 0) throw failures[0];
  return [...claims.owned, ...taken];
}

interface ReleaseOptions {
  readonly objects: ReturnType<Client["resource"]>;
  readonly owner: SeenObject;
  readonly finalizer?: string;
}

async function releaseOne(object: SeenObject, { objects, owner, finalizer }: ReleaseOptions): Promise<void> {
  const metadata = {
    uid: uidOf(object),
    ownerReferences: [{ $patch: "delete", uid: uidOf(owner) }],
    ...(finalizer ? { "$deleteFromPrimitiveList/finalizers": [finalizer] } : {}),
  };
  try {
    await objects.patch(nameOf(object), { metadata }, { type: "strategic" });
  } catch (error) {
    // Gone, or another object of the same name (the uid in the patch is refused): nothing left to release.
    if (!isStatusError(error, "NotFound") && !isStatusError(error, "Invalid")) throw error;
  }
}

/** Throws when the owner is being deleted or is another object by now. */
export async function recheck(
  client: Client,
  owner: SeenObject,
  { resource, kind }: { resource: ResourceReference; kind: string },
): Promise<void> {
  const fresh: DeepReadonly<KubernetesObject> = await client.resource(resource, namespaceOf(owner)).get(nameOf(owner));
  const key = `${namespaceOf(owner)}/${nameOf(owner)}`;
  if (uidOf(fresh) !== uidOf(owner)) {
    throw new Error(`original ${kind} ${key} is gone: got uid ${uidOf(fresh)}, wanted ${uidOf(owner)}`);
  }
  if (fresh.metadata?.deletionTimestamp) {
    throw new Error(`${key} has just been deleted at ${fresh.metadata.deletionTimestamp}`);
  }
}
