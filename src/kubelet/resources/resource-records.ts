/**
 * Resources of pods by container, kept in a file that survives this process: what was promised (`allocated_pods_state`) and what the runtime was
 * told (`actuated_pods_state`). Files are upstream's, so that either node can take over from the other. Writes are bundled: a pod's
 * start never waits for one.
 */
import { readFileSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import type { ContainerSpec } from "../core/types.ts";
import { fnv32a } from "./go-checksum.ts";

export type Requirements = NonNullable<ContainerSpec["resources"]>;

/** Names as in the file. */
export interface PodRecord {
  readonly ContainerResources: Readonly<Record<string, Requirements>>;
  readonly PodLevelResources: Requirements | null;
}

export const checksumOf = (data: string): number => fnv32a(`(string)${data}`);

export class ResourceRecords {
  readonly #file: string;
  readonly #records: Map<string, PodRecord>;
  #writing: Promise<void> | undefined;
  #isStale = false;

  /** Throws when the file is damaged: nobody knows then what pods were promised. */
  constructor(file: string) {
    this.#file = file;
    this.#records = new Map(Object.entries(readRecords(file)));
  }

  get(uid: string): PodRecord | undefined {
    return this.#records.get(uid);
  }

  /** Resolves when it is on disk. */
  set(uid: string, record: PodRecord): Promise<void> {
    this.#records.set(uid, record);
    return this.#save();
  }

  setContainer(uid: string, name: string, resources: Requirements): Promise<void> {
    const { ContainerResources = {}, PodLevelResources = null } = this.#records.get(uid) ?? {};
    return this.set(uid, { ContainerResources: { ...ContainerResources, [name]: resources }, PodLevelResources });
  }

  setPodLevel(uid: string, resources: Requirements): Promise<void> {
    const { ContainerResources = {} } = this.#records.get(uid) ?? {};
    return this.set(uid, { ContainerResources, PodLevelResources: resources });
  }

  /** Written with the next record: what is left over in the file harms nobody. */
  delete(uid: string): void {
    this.#records.delete(uid);
  }

  /** Resolves when everything set so far is on disk. */
  flushed(): Promise<void> {
    return this.#writing ?? Promise.resolve();
  }

  #save(): Promise<void> {
    this.#isStale = true;
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
    return this.#writing;
  }

  async #write(): Promise<void> {
    while (this.#isStale) {
      // What is set in the same turn shares one write.
      await null;
      this.#isStale = false;
      const data = JSON.stringify({ entries: Object.fromEntries(this.#records) });
      await writeFile(`${this.#file}.tmp`, JSON.stringify({ data, checksum: checksumOf(data) }), { mode: 0o600 });
      await rename(`${this.#file}.tmp`, this.#file);
    }
  }
}

function readRecords(file: string): Record<string, PodRecord> {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return {}; // reading fails with such errors
    throw error;
  }
  const { data, checksum } = JSON.parse(text) as { data: string; checksum: number };
  if (checksumOf(data) !== checksum)
    throw new Error(
      `could not restore state from checkpoint: checkpoint is corrupted, please drain this node and delete pod resource information checkpoint file ${JSON.stringify(file)} before restarting Kubelet`,
    );
  return (JSON.parse(data) as { entries?: Record<string, PodRecord> }).entries ?? {};
}
