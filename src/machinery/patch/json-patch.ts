/**
 * JSON patch (RFC 6902) with the liberties of evanphx/json-patch that clients came to rely on: `replace` of a missing member
 * adds it, negative indices count from the end (and `add` at -1 appends), text before the first slash of a path is ignored.
 * The original is not changed: a container is copied when an operation first changes something in it.
 */
import { cloneJson, jsonEqual, setOwn } from "../deep.ts";
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

  apply({ op, path, from, value = null }: JsonPatchOperation): void {
    switch (op) {
      case "add":
        this.#add(need(path, op), value);
        break;
      case "remove":
        this.#remove(need(path, op));
        break;
      case "replace":
        this.#replace(need(path, op), value);
        break;
      case "move": {
        const moved = this.#read(need(from, op));
        this.#remove(need(from, op));
        this.#add(need(path, op), moved);
        break;
      }
      case "copy":
        this.#add(need(path, op), this.#copyOf(need(from, op)));
        break;
      case "test":
        this.#test(need(path, op), value);
        break;
      default:
        throw unfit(`Unexpected kind: ${op ?? "unknown"}`);
    }
  }

  #copyOf(path: string): unknown {
    const copied = this.#read(path) ?? null;
    this.#copiedBytes += JSON.stringify(copied).length;
    if (this.#copiedBytes > jsonPatchCopyBytesMax) {
      const size = `limit is ${jsonPatchCopyBytesMax}, got ${this.#copiedBytes}`;
      throw unfit(
        `Unable to complete the copy, the accumulated size increase of copy operations is too large: ${size}`,
      );
    }
    return cloneJson(copied);
  }

  #add(path: string, value: unknown): void {
    const { container, key } = this.#change(path, "add");
    if (!Array.isArray(container)) setOwn(container, key, value);
    else if (key === "-") container.push(value);
    else container.splice(position(key, container.length + 1, container.length), 0, value);
  }

  #remove(path: string): void {
    const { container, key } = this.#change(path, "remove");
    if (Array.isArray(container)) container.splice(position(key, container.length, container.length - 1), 1);
    else if (Object.hasOwn(container, key)) delete container[key];
    else throw unfit(`error in remove for path: '${path}': Unable to remove nonexistent key: ${key}: missing value`);
  }

  #replace(path: string, value: unknown): void {
    if (path === "") {
      if (!isContainer(value)) throw unfit("replace operation value must be object or array");
      this.root = value;
      return;
    }
    const { container, key } = this.#change(path, "replace");
    if (Array.isArray(container)) container[position(key, container.length, container.length - 1)] = value;
    else setOwn(container, key, value);
  }

  #test(path: string, value: unknown): void {
    const found = path === "" ? this.root : this.#read(path);
    if (!jsonEqual(found ?? null, value)) throw unfit(`testing value ${path} failed: test failed`);
  }

  /** undefined for a member that isn't there. */
  #read(path: string): unknown {
    const { steps, key } = splitPath(path);
    let container = this.root;
    for (const step of steps) container = isContainer(container) ? member(container, step) : undefined;
    if (!isContainer(container)) throw unfit(`doc is missing path: ${path}: missing value`);
    return member(container, key);
  }

  /** The container that the last step of a path is in, as an own copy. */
  #change(path: string, operation: string): { container: Container; key: string } {
    const { steps, key } = splitPath(path);
    this.root = this.#owned(this.root);
    let container = this.root;
    for (const step of steps) {
      const next = isContainer(container) ? member(container, step) : undefined;
      if (!isContainer(next) || !isContainer(container)) {
        throw unfit(`${operation} operation does not apply: doc is missing path: "${path}": missing value`);
      }
      const owned = this.#owned(next);
      if (Array.isArray(container)) container[position(step, container.length, container.length - 1)] = owned;
      else setOwn(container, step, owned);
      container = owned;
    }
    if (!isContainer(container)) {
      throw unfit(`${operation} operation does not apply: doc is missing path: "${path}": missing value`);
    }
    return { container, key };
  }

  #owned(value: unknown): unknown {
    if (!isContainer(value) || this.#own.has(value)) return value;
    const copy: Container = Array.isArray(value) ? [...value] : { ...value };
    this.#own.add(copy);
    return copy;
  }
}

function need(text: string | undefined, operation: string): string {
  if (typeof text !== "string") throw unfit(`${operation} operation failed to decode path: missing value`);
  return text;
}

function splitPath(path: string): { steps: string[]; key: string } {
  const parts = path.split("/");
  if (parts.length < 2) throw unfit(`doc is missing path: "${path}": missing value`);
  const steps = parts.slice(1).map((part) => part.replace(/~[01]/g, (found) => (found === "~1" ? "/" : "~")));
  const key = steps.pop() ?? "";
  return { steps: parts.length === 2 ? [] : steps, key };
}

function member(container: Container, key: string): unknown {
  if (Array.isArray(container)) return container[position(key, container.length, container.length - 1)];
  return Object.hasOwn(container, key) ? container[key] : undefined;
}

/** An index of a list that `size` negative indices count back from and that may not exceed `last`. */
function position(key: string, size: number, last: number): number {
  if (!/^[+-]?[0-9]+$/.test(key)) throw unfit(`value was not a proper array index: '${key}'`);
  const index = Number(key);
  if (index > last || index < -size) throw unfit(`Unable to access invalid index: ${index}: invalid index referenced`);
  return index < 0 ? index + size : index;
}

const unfit = (message: string): PatchError => new PatchError("unprocessable", message);
