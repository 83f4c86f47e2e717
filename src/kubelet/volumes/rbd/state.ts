/**
 * What the node knows of the images that it has mapped: in memory, as devices are, so that both are gone after a restart of the machine and
 * both are there after one of this process. Keys of Ceph never touch a disk.
 */
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { CephAccess, RbdImage } from "#base";
import { mountFileSystem, mountsUnder } from "../mount-table.ts";
import type { DriverName } from "./devices.ts";
import { folderName } from "./source.ts";

export interface Mapping extends RbdImage {
  readonly readOnly: boolean;
  readonly access: Omit<CephAccess, "key">;
  /** It is being mapped, or was when the node died. */
  readonly isBegun?: boolean;
  readonly driver?: DriverName;
  /** Its id, said before it is taken. */
  readonly lock?: string;
}

/** A pod's use of an image. */
export interface ImageUser {
  readonly podUid: string;
  /** Of the persistent volume, or of the volume in the pod. */
  readonly volume: string;
  readonly mode: "Filesystem" | "Block";
  readonly path: string;
}

export interface MappingState {
  readonly name: string;
  readonly keyFile: string;
  read(): Promise<Mapping | undefined>;
  key(): Promise<string | undefined>;
  write(mapping: Mapping, key?: string): Promise<void>;
  users(): Promise<ImageUser[]>;
  add(user: ImageUser): Promise<void>;
  remove(user: ImageUser): Promise<void>;
  forget(): Promise<void>;
}

export interface RbdState {
  /** Before anything is written. */
  prepare(): Promise<void>;
  of(image: RbdImage & { readonly readOnly: boolean }): MappingState;
  all(): Promise<MappingState[]>;
}

/** No image can be called so. */
const readOnlyMark = "@ro";

export function rbdState(folder: string): RbdState {
  const root = join(folder, "state");
  const named = (name: string): MappingState => {
    const at = (...parts: string[]) => join(root, name, ...parts);
    const userFile = ({ podUid, volume }: ImageUser) => at("users", `${podUid}~${volume}`);
    return {
      name,
      keyFile: at("key"),
      read: async () => parse<Mapping>(await readIfThere(at("mapping.json"))),
      key: () => readIfThere(at("key")),
      async write(mapping, key) {
        await mkdir(at("users"), { recursive: true, mode: 0o700 });
        if (key !== undefined) await replace(at("key"), key);
        await replace(at("mapping.json"), JSON.stringify(mapping));
      },
      async users() {
        const texts = await Promise.all((await list(at("users"))).map((each) => readIfThere(at("users", each))));
        return texts.map((text) => parse<ImageUser>(text)).filter((user) => user !== undefined);
      },
      add: (user) => replace(userFile(user), JSON.stringify(user)),
      remove: (user) => rm(userFile(user), { force: true }),
      forget: () => rm(at(), { recursive: true, force: true }),
    };
  };
  return {
    async prepare() {
      await mkdir(root, { recursive: true, mode: 0o700 });
      if (!(await mountsUnder(root)).includes(root)) await mountFileSystem("tmpfs", root, ["mode=0700", "size=16m"]);
    },
    of: (image) => named(folderName(image) + (image.readOnly ? readOnlyMark : "")),
    all: async () => (await list(root)).map(named),
  };
}

const ifMissing =
  <T>(otherwise: T) =>
  (error: NodeJS.ErrnoException): T => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return otherwise;
    throw error;
  };
const readIfThere = (path: string): Promise<string | undefined> =>
  readFile(path, "utf8").catch(ifMissing<string | undefined>(undefined));
const list = async (path: string): Promise<string[]> =>
  (await readdir(path).catch(ifMissing<string[]>([]))).filter((name) => !name.endsWith(".new"));
/** All are ours, and written at once. */
const parse = <T>(text: string | undefined): T | undefined => (text ? (JSON.parse(text) as T) : undefined);

async function replace(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  await rename(`${path}.new`, path);
}
