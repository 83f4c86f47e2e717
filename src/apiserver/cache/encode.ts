/** Objects to stored values and back to cached bodies. */
import type { DeepReadonly, KubernetesObject, ObjectMeta } from "#machinery";
import type { StoredKind } from "../resource.ts";

/**
 * The value to store: kind and apiVersion first, then metadata with what identifies the object first, no resourceVersion.
 * The fixed order is what makes splicing possible.
 */
export function encodeValue(head: string, object: DeepReadonly<KubernetesObject>): Buffer {
  const { kind: _kind, apiVersion: _apiVersion, metadata = {}, ...rest } = object;
  const {
    name,
    generateName,
    namespace,
    selfLink: _selfLink,
    uid,
    resourceVersion: _resourceVersion,
    ...others
  } = metadata;
  const identity: ObjectMeta = {
    ...(name !== undefined && { name }),
    ...(generateName !== undefined && { generateName }),
    ...(namespace !== undefined && { namespace }),
    ...(uid !== undefined && { uid }),
  };
  return Buffer.from(`${head}"metadata":${JSON.stringify({ ...identity, ...others })}${tail(rest)}`);
}

function tail(rest: object): string {
  const text = JSON.stringify(rest);
  return text === "{}" ? text.slice(1) : `,${text.slice(1)}`;
}

const uidStart = Buffer.from('"uid":"');
const metadataStart = '"metadata":{'.length;

/** What the cache keeps of a stored value: the head is known, the revision becomes resourceVersion. */
export function spliceRevision(kind: StoredKind, value: Uint8Array, revision: number): Buffer {
  const stored = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  const start = kind.head.length;
  if (!startsWith(stored, kind.head)) return spliceRevision(kind, migrate(kind, stored), revision);
  // A dry run has no revision.
  if (revision === 0) return stored.subarray(start);
  const uid = stored.indexOf(uidStart, start);
  // Right after the uid; a value without one (written by someone else) gets it at the start of metadata.
  const at = uid < 0 ? start + metadataStart : stored.indexOf(quote, uid + uidStart.length) + 1;
  const empty = stored[at] === closingBrace;
  const text = uid < 0 ? `"resourceVersion":"${revision}"${empty ? "" : ","}` : `,"resourceVersion":"${revision}"`;
  // Its own allocation: a slice of node's shared pool would keep 8 kB alive.
  const body = Buffer.allocUnsafeSlow(stored.length - start + text.length);
  stored.copy(body, 0, start, at);
  body.write(text, at - start, "latin1");
  stored.copy(body, at - start + text.length, at);
  return body;
}

/** A body with another revision: what a deletion shows. */
export function replaceRevision(body: Buffer, from: number, to: number): Buffer {
  const old = `"resourceVersion":"${from}"`;
  const at = body.indexOf(old);
  const text = `"resourceVersion":"${to}"`;
  const changed = Buffer.allocUnsafeSlow(body.length + text.length - old.length);
  body.copy(changed, 0, 0, at);
  changed.write(text, at, "latin1");
  body.copy(changed, at + text.length, at + old.length);
  return changed;
}

const quote = 0x22;
const closingBrace = 0x7d;

function startsWith(bytes: Buffer, text: string): boolean {
  return bytes.length > text.length && bytes.toString("latin1", 0, text.length) === text;
}

/** A value of another stored version (written before an upgrade), in today's. */
function migrate(kind: StoredKind, value: Buffer): Buffer {
  const object: KubernetesObject = JSON.parse(value.toString("utf8"));
  const version = (object.apiVersion ?? "").split("/").at(-1) ?? "";
  const { convert } = kind.behaviour;
  return encodeValue(kind.head, convert && version !== kind.version ? convert.toStorage(object, version) : object);
}
