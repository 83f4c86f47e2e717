/**
 * Who owns whom, over all objects of the cluster. Kept by events alone; it says what should be looked at and never talks to a server.
 *
 * Owners are known by uid. An owner that no event has shown yet is virtual: its coordinates are what a dependent claims, and they may
 * be wrong (a name in another namespace, another kind). So a virtual owner is looked up at the server under each claim, and
 * only dependents whose claim was found absent lose their owner. Follows upstream's GraphBuilder.
 */
import type { OwnerReference } from "#api";
import { jsonEqual } from "#machinery";
import type { SeenObject } from "../lib/objects.ts";

export const foregroundFinalizer = "foregroundDeletion";
export const orphanFinalizer = "orphan";

export interface Identity {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

export interface GraphNode {
  identity: Identity;
  owners: readonly OwnerReference[];
  readonly dependents: Set<GraphNode>;
  /** An event has shown it; otherwise it is what dependents claim. */
  observed: boolean;
  deleting: boolean;
  /** Deleted in the foreground: it goes when the dependents that block it are gone. */
  waitsForDependents: boolean;
}

export interface GraphSink {
  /** Look whether this object should go. */
  examine(uid: string): void;
  /** Look later: it may be about to show up. */
  examineLater(uid: string): void;
  /** Take this owner from its dependents. */
  orphan(uid: string): void;
  /** A dependent names an owner that lives in another namespace. */
  strayOwner(dependent: GraphNode, owner: OwnerReference): void;
}

/** Owners found absent that are remembered, so that a thousand dependents ask the server once. */
const absentMax = 500;

export class DependencyGraph {
  readonly #nodes = new Map<string, GraphNode>();
  readonly #absent = new Set<string>();
  readonly #sink: GraphSink;

  constructor(sink: GraphSink) {
    this.#sink = sink;
  }

  get(uid: string): GraphNode | undefined {
    return this.#nodes.get(uid);
  }

  get size(): number {
    return this.#nodes.size;
  }

  /** Observed nodes of one kind, to compare with a new list. */
  *ofKind({ apiVersion, kind }: Pick<Identity, "apiVersion" | "kind">): Iterable<GraphNode> {
    for (const node of this.#nodes.values()) {
      const { identity, observed } = node;
      if (observed && identity.kind === kind && identity.apiVersion === apiVersion) yield node;
    }
  }

  /** An event showed this object. */
  upsert(object: SeenObject, { apiVersion, kind }: Pick<Identity, "apiVersion" | "kind">): void {
    const { namespace = "", name = "", uid = "", deletionTimestamp, finalizers = [] } = object.metadata ?? {};
    const identity = { apiVersion, kind, namespace, name, uid };
    const owners = (object.metadata?.ownerReferences ?? []).map((owner) => ({ ...owner }));
    const deleting = deletionTimestamp !== undefined;
    const waits = deleting && finalizers.includes(foregroundFinalizer);
    const orphans = deleting && finalizers.includes(orphanFinalizer);
    let node = this.#nodes.get(uid);
    const before = { waits: node?.waitsForDependents ?? false };
    if (node) {
      if (!node.observed) this.#becomeObserved(node, identity);
      if (!jsonEqual(node.owners, owners)) this.#changeOwners(node, owners);
      if (deleting) node.deleting = true;
    } else {
      node = { identity, owners: [], dependents: new Set(), observed: true, deleting, waitsForDependents: waits };
      this.#nodes.set(uid, node);
      this.#changeOwners(node, owners);
    }
    if (orphans) this.#sink.orphan(uid);
    else if (waits && (!before.waits || !node.waitsForDependents)) {
      node.waitsForDependents = true;
      for (const dependent of node.dependents) this.#sink.examine(dependent.identity.uid);
      this.#sink.examine(uid);
    }
  }

  /** An event showed that the object is gone. */
  remove(uid: string): void {
    const node = this.#nodes.get(uid);
    if (node) this.#drop(node);
  }

  /** The server has no object of these coordinates and uid. */
  absent(identity: Identity): void {
    this.markAbsent(identity);
    const node = this.#nodes.get(identity.uid);
    if (!node) return;
    const { matching, others } = claimsOn(node, identity);
    const examine = (nodes: readonly GraphNode[]) => {
      for (const { identity: dependent } of nodes) this.#sink.examine(dependent.uid);
    };
    if (node.observed) {
      // Events know better where it is; or this very one is gone and its event is on the way.
      if (isSame(node.identity, identity)) this.#drop(node);
      else examine(matching);
      return;
    }
    if (others.length === 0) {
      this.#drop(node);
      return;
    }
    examine(matching);
    if (!isSame(node.identity, identity)) return;
    const next = nextClaim(node, identity);
    if (next) {
      node.identity = next;
      this.#sink.examineLater(identity.uid);
    } else this.#drop(node);
  }

  isKnownAbsent(identity: Identity): boolean {
    return this.#absent.has(absentKey(identity));
  }

  markAbsent(identity: Identity): void {
    this.#absent.add(absentKey(identity));
    if (this.#absent.size <= absentMax) return;
    const [oldest] = this.#absent;
    if (oldest !== undefined) this.#absent.delete(oldest);
  }

  #drop(node: GraphNode): void {
    const { identity, dependents, owners } = node;
    this.#nodes.delete(identity.uid);
    for (const { uid } of owners) {
      const owner = this.#nodes.get(uid);
      if (!owner) continue;
      owner.dependents.delete(node);
      if (owner.waitsForDependents) this.#sink.examine(uid);
    }
    if (dependents.size > 0) this.markAbsent(identity);
    for (const dependent of dependents) this.#sink.examine(dependent.identity.uid);
  }

  #becomeObserved(node: GraphNode, identity: Identity): void {
    node.observed = true;
    if (isSame(node.identity, identity)) return;
    node.identity = identity;
    for (const dependent of claimsOn(node, identity).others) {
      this.#reportStray(dependent, node);
      this.#sink.examine(dependent.identity.uid);
    }
  }

  #changeOwners(node: GraphNode, owners: readonly OwnerReference[]): void {
    const before = new Map(node.owners.map((owner) => [owner.uid, owner]));
    const after = new Map(owners.map((owner) => [owner.uid, owner]));
    node.owners = owners;
    for (const [uid, old] of before) {
      const now = after.get(uid);
      const owner = this.#nodes.get(uid);
      if (!now) owner?.dependents.delete(node);
      // It doesn't hold up its owner's end any more.
      if (owner && old.blockOwnerDeletion && !now?.blockOwnerDeletion) this.#sink.examine(uid);
    }
    let doubtful = false;
    for (const [uid, owner] of after) {
      if (before.has(uid)) continue;
      doubtful = this.#addDependent(node, owner) || doubtful;
    }
    if (doubtful) this.#sink.examine(node.identity.uid);
  }

  /** Answers whether the claim may be wrong. */
  #addDependent(node: GraphNode, reference: OwnerReference): boolean {
    const { apiVersion, kind, name, uid } = reference;
    let owner = this.#nodes.get(uid);
    if (!owner) {
      const { namespace } = node.identity;
      owner = {
        identity: { apiVersion, kind, name, uid, namespace },
        owners: [],
        dependents: new Set(),
        observed: false,
        deleting: false,
        waitsForDependents: false,
      };
      this.#nodes.set(uid, owner);
      // Its event may be on the way. If not, the server is asked.
      this.#sink.examineLater(uid);
    }
    owner.dependents.add(node);
    // Without a namespace and unseen it may be something that has one, named wrongly by something that has none.
    const isElsewhere = owner.identity.namespace !== node.identity.namespace;
    if (!owner.observed) return isElsewhere || !isClaim(reference, node, owner.identity);
    if (isClaim(reference, node, owner.identity)) {
      // Made while its owner was already going: nothing else would notice.
      return owner.waitsForDependents;
    }
    this.#reportStray(node, owner);
    return true;
  }

  #reportStray(dependent: GraphNode, { identity }: GraphNode): void {
    if (identity.namespace === "" || identity.namespace === dependent.identity.namespace) return;
    const owner = dependent.owners.find(({ uid }) => uid === identity.uid);
    if (owner) this.#sink.strayOwner(dependent, owner);
  }
}

const absentKey = ({ apiVersion, kind, namespace, name, uid }: Identity) =>
  `${apiVersion} ${kind} ${namespace} ${name} ${uid}`;

const isSame = (a: Identity, b: Identity) => absentKey(a) === absentKey(b);

/** Whether a dependent's reference names exactly this owner. Owners without a namespace may be named from anywhere. */
function isClaim(reference: OwnerReference, dependent: GraphNode, owner: Identity): boolean {
  return (
    reference.uid === owner.uid &&
    reference.apiVersion === owner.apiVersion &&
    reference.kind === owner.kind &&
    reference.name === owner.name &&
    (owner.namespace === "" || owner.namespace === dependent.identity.namespace)
  );
}

/** Dependents that name the owner by these coordinates, and those that name it by others. */
function claimsOn(node: GraphNode, identity: Identity): { matching: GraphNode[]; others: GraphNode[] } {
  const matching: GraphNode[] = [];
  const others: GraphNode[] = [];
  for (const dependent of node.dependents) {
    const isMatch = dependent.owners.some((reference) => isClaim(reference, dependent, identity));
    (isMatch ? matching : others).push(dependent);
  }
  return { matching, others };
}

/** Other coordinates under which dependents name it, in turn, so that each is tried. */
function nextClaim(node: GraphNode, tried: Identity): Identity | undefined {
  const claims = [...node.dependents]
    .flatMap((dependent) =>
      dependent.owners
        .filter(({ uid }) => uid === tried.uid)
        .map(({ apiVersion, kind, name, uid }) => ({
          apiVersion,
          kind,
          name,
          uid,
          namespace: dependent.identity.namespace,
        })),
    )
    .filter((claim) => !isSame(claim, tried))
    .sort((a, b) => (order(a) < order(b) ? -1 : 1));
  return claims.find((claim) => order(claim) > order(tried)) ?? claims[0];
}

const order = ({ kind, apiVersion, namespace, name }: Identity) => [kind, apiVersion, namespace, name].join(" ");

/** Dependents that keep a foreground deletion waiting. */
export const blockingDependents = (node: GraphNode): GraphNode[] =>
  [...node.dependents].filter((dependent) =>
    dependent.owners.some(({ uid, blockOwnerDeletion }) => uid === node.identity.uid && blockOwnerDeletion),
  );
