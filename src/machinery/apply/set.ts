/**
 * Sets of fields, in the form in which they are stored and sent: the object tree of FieldsV1. The problem: upstream
 * keeps sets in sorted arrays of path elements and encodes them on every write; the idea: a tree of plain objects is the
 * set, so that reading and writing one costs nothing beyond the JSON around it, and two trees share what they have in
 * common. A step without children is a member; one with children is a member if it has the child ".".
 *
 *   { "f:spec": { "f:replicas": {} } }                   .spec.replicas
 *   { "f:data": { ".": {}, "f:a": {} } }                 .data and .data.a
 *
 * Sets are immutable, their keys are in upstream's order (compareElements), no step is empty of members.
 */
import { canonicalElement, compareElements, printElement } from "./element.ts";

export interface FieldSet {
  readonly [element: string]: FieldSet;
}

/** While it is being built. */
export interface MutableFieldSet {
  [element: string]: FieldSet;
}

/** Like a field set, but `*` stands for any step, and a step without children for everything below. */
export interface FieldPattern {
  readonly [element: string]: FieldPattern;
}

/** A member without children. At the root: the empty set. */
export const leaf: FieldSet = Object.freeze({});

export function isEmpty(set: FieldSet): boolean {
  for (const _ in set) return false;
  return true;
}

/** A set of field paths that have no list in them. */
export function fieldSet(...paths: readonly (readonly string[])[]): FieldSet {
  return paths.reduce<FieldSet>(
    (set, path) =>
      union(
        set,
        path.reduceRight<FieldSet>((below, name) => ({ [`f:${name}`]: below }), leaf),
      ),
    leaf,
  );
}

export function has(set: FieldSet, ...path: readonly string[]): boolean {
  let node: FieldSet | undefined = set;
  for (const element of path) {
    node = node[element];
    if (node === undefined) return false;
  }
  return path.length > 0 && isMember(node);
}

/** Whether the step that has `node` below it is itself in the set. */
export const isMember = (node: FieldSet): boolean => "." in node || isEmpty(node);

export function equals(a: FieldSet, b: FieldSet): boolean {
  if (a === b) return true;
  let count = 0;
  for (const element in a) {
    const other = b[element];
    if (other === undefined || !equals(a[element] ?? leaf, other)) return false;
    count++;
  }
  for (const _ in b) count--;
  return count === 0;
}

/** `nested`: a and b are below a step, where having nothing means that the step is a member. */
export function union(a: FieldSet, b: FieldSet, nested = false): FieldSet {
  if (a === b) return a;
  if (nested && isEmpty(a)) return isMember(b) ? b : { ".": leaf, ...b };
  if (nested && isEmpty(b)) return isMember(a) ? a : { ".": leaf, ...a };
  const namesA = Object.keys(a);
  const namesB = Object.keys(b);
  const out: MutableFieldSet = {};
  for (let i = 0, j = 0; i < namesA.length || j < namesB.length; ) {
    const nameA = namesA[i];
    const nameB = namesB[j];
    const order =
      nameA === undefined ? 1 : nameB === undefined ? -1 : nameA === nameB ? 0 : compareElements(nameA, nameB);
    const name = (order <= 0 ? nameA : nameB) as string; // the loop goes on only while one of them has a name
    const left = a[name];
    const right = b[name];
    const node = order === 0 && left && right ? union(left, right, name !== ".") : ((order < 0 ? left : right) ?? leaf);
    // Where keys aren't in order a name can come twice; nothing may be lost then.
    const met = out[name];
    out[name] = met === undefined ? node : union(met, node, name !== ".");
    if (order <= 0) i++;
    if (order >= 0) j++;
  }
  return out;
}

/** What is in both, step by step; undefined when that is nothing. */
function intersectNodes(a: FieldSet, b: FieldSet): FieldSet | undefined {
  const member = isMember(a) && isMember(b);
  let out: MutableFieldSet | undefined;
  for (const element in a) {
    const other = element === "." ? undefined : b[element];
    const below = other && intersectNodes(a[element] ?? leaf, other);
    if (!below) continue;
    out ??= member ? { ".": leaf } : {};
    out[element] = below;
  }
  return out ?? (member ? leaf : undefined);
}

export function intersection(a: FieldSet, b: FieldSet): FieldSet {
  const out: MutableFieldSet = {};
  for (const element in a) {
    const other = b[element];
    const below = other && intersectNodes(a[element] ?? leaf, other);
    if (below) out[element] = below;
  }
  return out;
}

/**
 * What is in `a` and not in `b`. With `deep`, a member of `b` also takes away everything below it. Returns `a` itself
 * when nothing goes, which lets callers see cheaply that nothing changed.
 */
export function difference(a: FieldSet, b: FieldSet, deep = false): FieldSet {
  let out: MutableFieldSet | undefined;
  for (const element in b) {
    const left = a[element];
    if (left === undefined) continue;
    const below = subtractNodes(left, b[element] ?? leaf, deep);
    if (below === left) continue;
    out ??= { ...a };
    if (below) out[element] = below;
    else delete out[element];
  }
  return out ?? a;
}

function subtractNodes(a: FieldSet, b: FieldSet, deep: boolean): FieldSet | undefined {
  const taken = isMember(b);
  if (taken && (deep || isEmpty(a))) return undefined;
  let out: MutableFieldSet | undefined;
  let touched = false;
  const member = isMember(a) && !taken;
  for (const element in a) {
    const left = a[element] ?? leaf;
    const other = element === "." ? undefined : b[element];
    const below = element === "." ? (member ? leaf : undefined) : other ? subtractNodes(left, other, deep) : left;
    if (below !== left) touched = true;
    if (below) {
      out ??= {};
      out[element] = below;
    }
  }
  if (!touched) return a;
  if (out && !(member && hasOnlySelf(out))) return out;
  return member ? leaf : undefined;
}

function hasOnlySelf(node: FieldSet): boolean {
  for (const element in node) if (element !== ".") return false;
  return true;
}

/** The part that the pattern covers. */
export function restrict(set: FieldSet, pattern: FieldPattern): FieldSet {
  return restrictChildren(set, pattern) ?? leaf;
}

function restrictChildren(node: FieldSet, pattern: FieldPattern): FieldSet | undefined {
  let out: MutableFieldSet | undefined;
  for (const element in node) {
    if (element === ".") continue;
    const below = pattern["*"] ?? pattern[element];
    if (below === undefined) continue;
    const left = node[element] ?? leaf;
    const kept = restrictNode(left, below);
    if (!kept) continue;
    out ??= {};
    out[element] = kept;
  }
  return out;
}

function restrictNode(node: FieldSet, pattern: FieldPattern): FieldSet | undefined {
  for (const _ in pattern) {
    const children = restrictChildren(node, pattern);
    if (!isMember(node)) return children;
    return children ? { ".": leaf, ...children } : leaf;
  }
  return node;
}

/** Every member, as printed in messages: those of a level before what is below them. */
export function printPaths(set: FieldSet): string[] {
  const paths: string[] = [];
  const visit = (node: FieldSet, prefix: string): void => {
    for (const element in node)
      if (element !== "." && isMember(node[element] ?? leaf)) paths.push(prefix + printElement(element));
    for (const element in node) if (element !== ".") visit(node[element] ?? leaf, prefix + printElement(element));
  };
  visit(set, "");
  return paths;
}

/**
 * A tree that a client sent, made canonical; itself when it already is, as nearly all are. Throws when it isn't one.
 * "." at the root says nothing.
 */
export function canonicalSet(tree: unknown): FieldSet {
  return isCanonical(tree) && !("." in tree) ? tree : (rebuild(tree, true) ?? leaf);
}

function isCanonical(tree: unknown): tree is FieldSet {
  if (typeof tree !== "object" || tree === null || Array.isArray(tree)) return false;
  let previous = "";
  for (const element in tree) {
    const below = (tree as FieldSet)[element]; // an object; its values are checked here
    if (element === ".") {
      if (previous !== "" || typeof below !== "object" || below === null || !isEmpty(below)) return false;
      continue;
    }
    if (element.charCodeAt(1) !== colon) return false;
    if (element.charCodeAt(0) === plainField) {
      // Most steps are fields, and their order is that of their texts.
      if (previous !== "" && (previous.charCodeAt(0) !== plainField || previous >= element)) return false;
    } else if (!isCanonicalStep(element, previous)) return false;
    if (!isCanonical(below)) return false;
    previous = element;
  }
  return previous !== "" || !("." in tree);
}

const colon = 58;
const plainField = 102; // f

function isCanonicalStep(element: string, previous: string): boolean {
  return canonicalElement(element) === element && (previous === "" || compareElements(previous, element) < 0);
}

function rebuild(tree: unknown, root: boolean): FieldSet | undefined {
  if (tree === null || tree === undefined) return leaf;
  if (typeof tree !== "object" || Array.isArray(tree)) throw new Error("expect { or n, but found something else");
  const found: [string, FieldSet][] = [];
  for (const [element, below] of Object.entries(tree)) {
    const canonical = element === "." ? undefined : canonicalElement(element);
    const node = canonical === undefined ? undefined : rebuild(below, false);
    if (canonical !== undefined && node !== undefined) found.push([canonical, node]);
  }
  if (found.length === 0) return leaf;
  found.sort(([a], [b]) => compareElements(a, b));
  return { ...("." in tree && !root ? { ".": leaf } : {}), ...Object.fromEntries(found) };
}
