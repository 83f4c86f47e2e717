/**
 * Which claims were prepared for which pods, kept in a file so that a node that was restarted takes back what its pods had. The file is
 * upstream's, so that either can take over from the other.
 */
import { readFile, rename, writeFile } from "node:fs/promises";
import { crc32 } from "node:zlib";

export interface PreparedDevice {
  readonly PoolName: string;
  readonly DeviceName: string;
  readonly ShareID?: string;
  readonly RequestNames: readonly string[] | null;
  readonly CDIDeviceIDs: readonly string[] | null;
}

export interface ClaimRecord {
  readonly ClaimUID: string;
  readonly ClaimName: string;
  readonly Namespace: string;
  readonly PodUIDs: Record<string, object>;
  /** By driver; also those that have prepared nothing. */
  readonly DriverState: Record<string, { Devices: PreparedDevice[] | null }>;
  /** Not in the file: after a restart the driver is asked again. */
  isPrepared?: boolean;
}

const header = { kind: "DRACheckpoint", apiVersion: "checkpoint.dra.kubelet.k8s.io/v1" };

export class ClaimRecords {
  readonly #file: string;
  readonly #records = new Map<string, ClaimRecord>();
  #writing: Promise<void> = Promise.resolve();

  private constructor(file: string, records: readonly ClaimRecord[]) {
    this.#file = file;
    for (const each of records) this.#records.set(`${each.Namespace}/${each.ClaimName}`, each);
  }

  /** Rejects when the file was damaged: nobody knows then what has to be taken back. */
  static async read(file: string): Promise<ClaimRecords> {
    const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
    if (!text) return new ClaimRecords(file, []);
    const { Data, Checksum } = JSON.parse(text) as { Data: string; Checksum: number };
    if (crc32(Data) !== Checksum) throw new Error(`checkpoint is corrupted: ${file}`);
    const { ClaimInfoStateList } = JSON.parse(Data) as { ClaimInfoStateList: ClaimRecord[] | null };
    return new ClaimRecords(file, ClaimInfoStateList ?? []);
  }

  get(key: string): ClaimRecord | undefined {
    return this.#records.get(key);
  }

  all(): Iterable<ClaimRecord> {
    return this.#records.values();
  }

  add(record: ClaimRecord): void {
    this.#records.set(`${record.Namespace}/${record.ClaimName}`, record);
  }

  delete(key: string): void {
    this.#records.delete(key);
  }

  /** Resolves when what is known now is on disk. */
  save(): Promise<void> {
    const list = [...this.#records.values()].map(({ isPrepared: _, ...record }) => record);
    const Data = JSON.stringify({ ...header, ClaimInfoStateList: list });
    const text = JSON.stringify({ Data, Checksum: crc32(Data) });
    const write = async () => {
      await writeFile(`${this.#file}.tmp`, text, { mode: 0o600 });
      await rename(`${this.#file}.tmp`, this.#file);
    };
    this.#writing = this.#writing.then(write, write);
    return this.#writing;
  }
}
