/**
 * JSON patch (RFC 6902) with the liberties of evanphx/json-patch that clients came to rely on: `replace` of a missing member
 * adds it, negative indices count from the end (and `add` at -1 appends), text before the first slash of a path is ignored.
 * The original is not changed: a container is copied when an operation first changes something in it.
 */
import { cloneJson, jsonEqual, setOwn } from "../deep.ts";
import { jsonKind } from "../typed-messages.ts";
import { PatchError } from "./patch-error.ts";

/** Operations in one patch; upstream's bound on the work a request can cause. */
export const jsonPatchOperationsMax = 10_000;
/** Bytes that all `copy` operations of a patch may make together; upstream's bound on memory. */
export const jsonPatchCopyBytesMax = 3 * 1024 * 1024;

export interface JsonPatchOperation {
  readonly op?: string;
  readonly path?: string;
  readonly from?: string;
  readonly value?: unknown;
}

/** Throws PatchError. The operations' values may become part of the result. */
export function applyJsonPatch(original: unknown, operations: readonly JsonPatchOperation[]): unknown {
  if (operations.length > jsonPatchOperationsMax) {
    const bound = `The allowed maximum operations in a JSON patch is ${jsonPatchOperationsMax}, got ${operations.length}`;
    throw new PatchError("too-large", `Request entity too large: ${bound}`);
  }
  const editor = new Editor(original);
  for (const operation of operations) editor.apply(operation);
  return editor.root;
}

type Container = Record<string, unknown> | unknown[];

const isContainer = (value: unknown): value is Container => typeof value === "object" && value !== null;

class Editor {
  root: unknown;
  /** Containers made for this result, which may be changed in place. */
  readonly #own = new Set<Container>();
  #copiedBytes = 0;

  constructor(original: unknown) {
    this.root = original;
  }

  apply(operation: JsonPatchOperation): void {
    const { op, value = null } = operation;
    if (op === "add") {
      const path = textOf(operation.path) ?? refuse("add operation failed to decode path: missing value");
      const place =
        this.#place(path) ?? refuse(`add operation does not apply: doc is missing path: "${path}": ${missing}`);
      prefixed(`error in add for path: '${path}': `, () => add(place, value));
    } else if (op === "remove") {
      const path = textOf(operation.path) ?? refuse("remove operation failed to decode path: missing value");
      const place =
        this.#place(path) ?? refuse(`remove operation does not apply: doc is missing path: "${path}": ${missing}`);
      prefixed(`error in remove for path: '${path}': `, () => remove(place));
    } else if (op === "replace") this.#replace(decoded("replace", "path", operation.path), operation);
    else if (op === "move") this.#move(operation);
    else if (op === "copy") this.#copy(operation);
    else if (op === "test") this.#test(decoded("test", "path", operation.path), operation);
    else throw unfit(`Unexpected kind: ${textOf(op) ?? "unknown"}`);
  }

  #replace(path: string, { value = null }: JsonPatchOperation): void {
    if (path === "") {
      if (!isContainer(value)) throw unfit("replace operation value must be object or array: %!w(<nil>)");
      this.root = value;
      return;
    }
    const refused = "replace operation does not apply: doc is missing";
    const place = this.#place(path) ?? refuse(`${refused} path: ${path}: ${missing}`);
    const { container, key } = place;
    if (!Array.isArray(container)) {
      setOwn(container, key, value);
      return;
    }
    const index = indexIn(container, key);
    if (typeof index === "string") throw unfit(`${refused} key: ${path}: ${missing}`);
    container[index] = value;
  }

  #move(operation: JsonPatchOperation): void {
    const from = decoded("move", "from", operation.from);
    const source =
      this.#place(from) ?? refuse(`move operation does not apply: doc is missing from path: ${from}: ${missing}`);
    const value = prefixed(`error in move for path: '${source.key}': `, () => {
      const moved = get(source);
      remove(source);
      return moved ?? null;
    });
    const path = decoded("move", "path", operation.path);
    const target =
      this.#place(path) ??
      refuse(`move operation does not apply: doc is missing destination path: ${path}: ${missing}`);
    prefixed(`error in move for path: '${path}': `, () => add(target, value));
  }

  #copy(operation: JsonPatchOperation): void {
    const from = decoded("copy", "from", operation.from);
    const source =
      this.#place(from) ?? refuse(`copy operation does not apply: doc is missing from path: ${from}: ${missing}`);
    const value = prefixed(`error in copy for from: '${from}': `, () => get(source));
    const path = textOf(operation.path) ?? refuse("copy operation failed to decode path: missing value");
    const target =
      this.#place(path) ??
      refuse(`copy operation does not apply: doc is missing destination path: ${path}: ${missing}`);
    if (value !== undefined) this.#copiedBytes += JSON.stringify(value).length;
    if (this.#copiedBytes > jsonPatchCopyBytesMax) {
      const size = `is ${this.#copiedBytes}, exceeding the limit ${jsonPatchCopyBytesMax}`;
      throw unfit(`Unable to complete the copy, the accumulated size increase of copy ${size}`);
    }
    prefixed("error while adding value during copy: ", () => add(target, cloneJson(value ?? null)));
  }

  #test(path: string, { value = null }: JsonPatchOperation): void {
    let found = this.root;
    if (path !== "") {
      const place = this.#place(path) ?? refuse(`test operation does not apply: is missing path: ${path}: ${missing}`);
      found = prefixed(`error in test for path: '${path}': `, () => get(place));
    }
    if (!jsonEqual(found ?? null, value)) throw unfit(`testing value ${path} failed: test failed`);
  }

  /** Where the last step of a path leads to, in a container of our own; undefined: nowhere. */
  #place(path: string): Place | undefined {
    const [, ...steps] = path.split("/").map(decodeStep);
    const key = steps.pop();
    if (key === undefined) return undefined;
    this.root = this.#owned(this.root);
    let container = this.root;
    for (const step of steps) {
      if (!isContainer(container)) return undefined;
      const index = Array.isArray(container) ? indexIn(container, step) : step;
      // Of a list: the step is no index of it.
      if (Array.isArray(container) && typeof index === "string") return undefined;
      const next = Array.isArray(container) ? container[index as number] : memberOf(container, step);
      if (!isContainer(next)) return undefined;
      const owned = this.#owned(next);
      if (Array.isArray(container)) container[index as number] = owned;
      else setOwn(container, step, owned);
      container = owned;
    }
    return isContainer(container) ? { container, key } : undefined;
  }

  #owned(value: unknown): unknown {
    if (!isContainer(value) || this.#own.has(value)) return value;
    const copy: Container = Array.isArray(value) ? [...value] : { ...value };
    this.#own.add(copy);
    return copy;
  }
}

interface Place {
  readonly container: Container;
  readonly key: string;
}

const missing = "missing value";

const textOf = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

/** A member of an operation that must be a text. */
function decoded(operation: string, name: "path" | "from", value: unknown): string {
  if (typeof value === "string") return value;
  let why = `json: cannot unmarshal ${jsonKind(value)} into Go value of type string`;
  if (value === undefined || value === null) {
    why = `${name === "path" ? "operation missing path field" : "operation, missing from field"}: ${missing}`;
  }
  throw unfit(`${operation} operation failed to decode ${name}: ${why}`);
}

const decodeStep = (step: string): string => step.replace(/~[01]/g, (found) => (found === "~1" ? "/" : "~"));

const memberOf = (object: Record<string, unknown>, key: string): unknown =>
  Object.hasOwn(object, key) ? object[key] : undefined;

/** Undefined for a member that isn't there. */
function get({ container, key }: Place): unknown {
  if (!Array.isArray(container)) return memberOf(container, key);
  return container[checked(indexIn(container, key))];
}

function add({ container, key }: Place, value: unknown): void {
  if (!Array.isArray(container)) setOwn(container, key, value);
  else if (key === "-") container.push(value);
  else {
    const why = notInteger(key);
    if (why !== undefined) throw unfit(`value was not a proper array index: '${key}': ${why}`);
    container.splice(checked(position(Number(key), container.length + 1)), 0, value);
  }
}

function remove({ container, key }: Place): void {
  if (Array.isArray(container)) container.splice(checked(indexIn(container, key)), 1);
  else if (Object.hasOwn(container, key)) delete container[key];
  else throw unfit(`Unable to remove nonexistent key: ${key}: ${missing}`);
}

/** An index of an item, or why it is none. */
const indexIn = (items: readonly unknown[], key: string): number | string =>
  notInteger(key) ?? position(Number(key), items.length);

/** Negative ones count from the end. */
function position(index: number, size: number): number | string {
  if (index < size && index >= -size) return index < 0 ? index + size : index;
  return `Unable to access invalid index: ${index}: invalid index referenced`;
}

/** What Go's strconv.Atoi says. */
function notInteger(text: string): string | undefined {
  const refused = `strconv.Atoi: parsing ${JSON.stringify(text)}:`;
  if (!/^[+-]?[0-9]+$/.test(text)) return `${refused} invalid syntax`;
  return Math.abs(Number(text)) >= 2 ** 63 ? `${refused} value out of range` : undefined;
}

function checked(index: number | string): number {
  if (typeof index === "string") throw unfit(index);
  return index;
}

function prefixed<T>(prefix: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw error instanceof PatchError ? unfit(prefix + error.message) : error;
  }
}

function refuse(message: string): never {
  throw unfit(message);
}

const unfit = (message: string): PatchError => new PatchError("unprocessable", message);
