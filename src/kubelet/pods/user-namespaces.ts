/**
 * The range of ids that a pod with `hostUsers: false` has to itself: upstream's userns manager. Which ranges are taken is only written in
 * the pods' folders (upstream's file and format), so a restart knows them and a range is free when its pod's folder is gone. Such pods are
 * few: looking at all folders for a new one costs less than a table that must be kept right.
 */
import { execFile } from "node:child_process";
import { mkdir, open, readdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { PodView } from "../core/types.ts";
import type { UserNamespace } from "../cri/types.d.ts";
import { handlerCan } from "../runtime/abilities.ts";
import type { NodeLayout } from "../volumes/layout.ts";
import type { PodContext } from "./context.ts";
import { runtimeHandlerOf } from "./runtime-class.ts";

const fileName = "userns";
const lengthUnit = 65_536;
const idsAll = 2 ** 32;

interface IdRange {
  readonly first: number;
  readonly length: number;
}

/** Undefined: the host's. Rejects with the text of the pod's event. */
export async function podUsers(context: PodContext, pod: PodView): Promise<UserNamespace | undefined> {
  if (pod.spec?.hostUsers !== false) return undefined;
  const handler = await runtimeHandlerOf(context, pod);
  if (!handlerCan(context.node.abilities(), handler, "userNamespaces"))
    throw new Error(
      handler
        ? `can't set \`spec.hostUsers: false\`, RuntimeClass handler ${JSON.stringify(handler)} does not support user namespaces`
        : "can't set `spec.hostUsers: false`, runtime does not support user namespaces",
    );
  const { first, length } = await context.userRanges(pod.metadata.uid ?? "");
  const ids = [{ hostId: first, containerId: 0, length }];
  return { mode: "POD", uids: ids, gids: ids };
}

export interface UserRangesOptions {
  readonly layout: NodeLayout;
  /** Missing: 65536. */
  readonly idsPerPod: number | undefined;
  readonly maxPods: number;
  /** Ids that pods may have; missing: those of the user `kubelet` in /etc/subuid, or all after the first 65536. */
  readonly ids?: IdRange;
}

/** Answers the range of a pod, the same each time. One asks after the other. */
export function createUserRanges(options: UserRangesOptions): (podUid: string) => Promise<IdRange> {
  const length = options.idsPerPod ?? lengthUnit;
  let ids: Promise<IdRange> | undefined;
  let last: Promise<unknown> = Promise.resolve();
  const rangeOf = async (podUid: string): Promise<IdRange> => {
    ids ??= readIds(options, length);
    const { first, length: all } = await ids;
    const { layout } = options;
    const own = await readRange(layout.pod(podUid).root, length);
    if (own !== undefined) return { first: own, length };
    const taken = new Set<number>();
    for (const uid of await readdir(layout.pods))
      taken.add((await readRange(layout.pod(uid).root, length)) ?? Number.NaN);
    const places = Math.floor(all / length);
    // Not the one that was just given back: files of its last pod may still be about.
    const from = Math.floor(Math.random() * places);
    for (let step = 0; step < places; step++) {
      const start = first + ((from + step) % places) * length;
      if (taken.has(start)) continue;
      await writeRange(layout.pod(podUid).root, { first: start, length });
      return { first: start, length };
    }
    throw new Error("create user namespace: could not find an empty slot to allocate a user namespace");
  };
  return (podUid) => {
    const turn = last.then(
      () => rangeOf(podUid),
      () => rangeOf(podUid),
    );
    last = turn;
    return turn;
  };
}

async function readIds({ ids, maxPods }: UserRangesOptions, length: number): Promise<IdRange> {
  const found = ids ?? (await subordinateIds()) ?? { first: length, length: idsAll - length };
  if (length % lengthUnit !== 0)
    throw new Error(`kubelet user namespace length ${length} is not a multiple of ${lengthUnit}`);
  if (found.first % length !== 0)
    throw new Error(`kubelet user assigned ID ${found.first} is not a multiple of ${length}`);
  if (found.first < length)
    throw new Error(`kubelet user assigned ID ${found.first} must be greater or equal to ${length}`);
  if (found.length % length !== 0)
    throw new Error(`kubelet user assigned IDs length ${found.length} is not a multiple of ${length}`);
  if (found.length / length < maxPods)
    throw new Error(`kubelet user assigned IDs are not enough to support ${maxPods} pods`);
  return found;
}

/** What the machine's administrator gave to a user of this name; undefined: there is none, or nobody to ask. */
async function subordinateIds(): Promise<IdRange | undefined> {
  const users = await readFile("/etc/passwd", "utf8");
  if (!/^kubelet:/m.test(users)) return undefined;
  const ask = async (...args: string[]) => (await promisify(execFile)("getsubids", [...args, "kubelet"])).stdout;
  let uids: string;
  try {
    uids = await ask();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined; // execFile rejects with such an error
    throw new Error(`error retrieving additional uids for user "kubelet": ${error}`);
  }
  if (uids !== (await ask("-g"))) throw new Error('mismatched subuids and subgids for user "kubelet"');
  const lines = uids.trim().split("\n");
  const words = (lines[0] ?? "").split(/\s+/);
  if (lines.length !== 1 || words.length !== 4) throw new Error(`invalid line ${JSON.stringify(uids)}`);
  return { first: Number(words[2]), length: Number(words[3]) };
}

/** The first id; undefined: the pod has none. */
async function readRange(folder: string, length: number): Promise<number | undefined> {
  const text = await readFile(join(folder, fileName), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (!text) return undefined;
  const { uidMappings = [], gidMappings = [] } = JSON.parse(text) as Record<string, Mapping[]>; // checked below
  const [mapping] = uidMappings;
  const bad = (why: string) => new Error(`user namespace: invalid user namespace configuration: ${why}`);
  if (!mapping || uidMappings.length !== 1) throw bad("no more than one mapping allowed.");
  if (JSON.stringify(uidMappings) !== JSON.stringify(gidMappings)) throw bad("GID and UID mapping should be identical");
  if (mapping.containerId !== 0) throw bad("UID 0 must be mapped");
  if (mapping.length !== length) throw new Error(`user namespace: wrong user namespace length ${mapping.length}`);
  return mapping.hostId;
}

interface Mapping {
  readonly hostId: number;
  readonly containerId: number;
  readonly length: number;
}

/** On the disk before anything uses it: after a power cut two pods must not have the same ids. */
async function writeRange(folder: string, { first, length }: IdRange): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o750 });
  const mappings: Mapping[] = [{ hostId: first, containerId: 0, length }];
  const temporary = join(folder, `.${fileName}.tmp`);
  const file = await open(temporary, "w", 0o640);
  try {
    await file.writeFile(JSON.stringify({ uidMappings: mappings, gidMappings: mappings }));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, join(folder, fileName));
  const parent = await open(folder, "r");
  await parent.sync().finally(() => parent.close());
}
