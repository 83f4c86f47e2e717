/**
 * The images of this node: each mapped and mounted once, whatever number of pods use it, and let go after the last of them. What is to be
 * undone stands in the state before it is done, so that any step may be the last one before a crash.
 */
import { mkdir, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Logger } from "#base";
import { mapDevice as bindDevice, unmapDevice as unbindDevice } from "../block/map-device.ts";
import { mountsUnder, unmount } from "../mount-table.ts";
import { MountError } from "../plugin.ts";
import { type DriverName, driverNames, findDevice, mapDevice, refreshSize, unmapDevice } from "./devices.ts";
import { formatAndMount, growFileSystem } from "./file-system.ts";
import { bindFolder } from "./bind.ts";
import { checkAlone, isSelfLocking, lockImage, lockPrefix, unlockImage } from "./lock.ts";
import { folderName, type RbdSource } from "./source.ts";
import { type ImageUser, type Mapping, type MappingState, rbdState } from "./state.ts";

export interface UseOptions {
  readonly key: string | undefined;
  /** The image has grown since its file system was made. */
  readonly grow?: boolean;
}

export interface RbdImages {
  /** Idempotent. Answers where the pod has it: a folder, or a link to a device. */
  use(source: RbdSource, user: ImageUser, options: UseOptions): Promise<string>;
  /** All that this pod uses; images that nobody else uses are let go. */
  release(podUid: string): Promise<void>;
  /** The file system fills the image, which has grown. */
  grow(source: RbdSource): Promise<void>;
  /** Everything, whoever uses it. */
  releaseAll(): Promise<void>;
}

export function createRbdImages({
  folder,
  nodeName,
  log,
}: {
  folder: string;
  nodeName: string;
  log: Logger;
}): RbdImages {
  const state = rbdState(folder);
  const mountPoint = ({ name }: MappingState) => join(folder, "mounts", name);
  const fuseFolder = ({ name }: MappingState) => join(folder, "fuse", name);
  const found = (at: MappingState, { pool, image, readOnly }: Mapping) => ({
    pool,
    image,
    readOnly,
    folder: fuseFolder(at),
  });
  const deviceFolder = ({ name }: MappingState) => join(folder, "volumeDevices", name);
  const deviceMap = (at: MappingState, { path, podUid, volume }: ImageUser) => ({
    globalFolder: deviceFolder(at),
    podFolder: dirname(path),
    name: volume,
    podUid,
  });

  async function map(
    at: MappingState,
    source: RbdSource,
    { key, readOnly }: { key: string | undefined; readOnly: boolean },
  ) {
    const { pool, image, access } = source;
    const who = { access: { ...access, key }, image: { pool, image }, id: lockPrefix + nodeName, log };
    const exclusive = await isSelfLocking(who);
    const mapping: Mapping = { pool, image, access, readOnly, ...(!readOnly && !exclusive && { lock: who.id }) };
    await state.prepare();
    await at.write(mapping, key);
    try {
      if (!readOnly) await lockImage(who, exclusive);
      await at.write({ ...mapping, isBegun: true });
      const request = { ...mapping, access: who.access, exclusive, keyFile: at.keyFile, folder: fuseFolder(at) };
      const { driver, device } = await mapDevice(request);
      await at.write({ ...mapping, driver });
      if (!readOnly) await checkAlone(who, exclusive);
      return { driver, device };
    } catch (error) {
      await letGo(at).catch((failed: unknown) => log.warn("an image could not be let go", { image, error: failed }));
      throw error;
    }
  }

  /** What nobody uses. Goes on where it was interrupted. */
  async function letGo(at: MappingState): Promise<void> {
    const mapping = await at.read();
    const target = mountPoint(at);
    if ((await mountsUnder(target)).includes(target)) await unmount(target);
    for (const each of [target, deviceFolder(at)]) await removeEmpty(each);
    if (mapping) {
      const { driver: known, isBegun } = mapping;
      for (const driver of known ? [known] : isBegun ? driverNames : []) await unmapDevice(driver, found(at, mapping));
      if (mapping.lock) {
        const { pool, image, lock: id } = mapping;
        await unlockImage({
          access: { ...mapping.access, key: await at.key() },
          image: { pool, image },
          id,
          log,
        });
      }
    }
    await at.forget();
  }

  /** Of one that is mapped already, as far as that still works. */
  async function existing(
    at: MappingState,
    user: ImageUser,
  ): Promise<{ driver: DriverName; device: string } | undefined> {
    const mapping = await at.read();
    if (!mapping) return undefined;
    const device = mapping.driver && (await findDevice(mapping.driver, found(at, mapping)));
    if (mapping.driver && device) return { driver: mapping.driver, device };
    const users = await at.users();
    if (users.some(({ podUid }) => podUid !== user.podUid))
      throw new Error(
        `rbd: the device of image ${mapping.pool}/${mapping.image} has gone, and other pods still use it`,
      );
    // Its server died, and only this pod had it: what is left is dead too.
    for (const each of users) await leave(at, each, { lazy: true });
    const target = mountPoint(at);
    if ((await mountsUnder(target)).includes(target)) await unmount(target, { lazy: true });
    await letGo(at);
    return undefined;
  }

  async function leave(at: MappingState, user: ImageUser, { lazy }: { lazy: boolean }): Promise<void> {
    if (user.mode === "Block") await unbindDevice(deviceMap(at, user));
    else {
      if ((await mountsUnder(user.path)).includes(user.path)) await unmount(user.path, { lazy });
      await removeEmpty(user.path);
    }
  }

  async function releaseUser(at: MappingState, user: ImageUser): Promise<void> {
    await leave(at, user, { lazy: false });
    if ((await at.users()).some(({ podUid, volume }) => podUid !== user.podUid || volume !== user.volume))
      return at.remove(user);
    await letGo(at);
  }

  /** One thing at a time for an image. */
  const turns = new Map<string, Promise<unknown>>();
  function inTurn<T>(name: string, work: () => Promise<T>): Promise<T> {
    const turn = (turns.get(name) ?? Promise.resolve()).then(work, work);
    turns.set(name, turn);
    const done = () => {
      if (turns.get(name) === turn) turns.delete(name);
    };
    turn.then(done, done);
    return turn;
  }
  const turnOf = ({ name }: MappingState) => name.replace(/@ro$/, "");

  return {
    use: (source, user, { key, grow = false }) =>
      inTurn(folderName(source), async () => {
        // Who only reads shares what a writer of this node has.
        const shared = state.of({ ...source, readOnly: false });
        const readOnly = source.readOnly && (await shared.read())?.driver === undefined;
        const at = readOnly ? state.of({ ...source, readOnly: true }) : shared;
        const { driver, device } = await (async () =>
          (await existing(at, user)) ?? (await map(at, source, { key, readOnly })))().catch((error: Error) => {
          const operation =
            user.mode === "Block" ? "MapVolume.WaitForAttach failed" : "MountVolume.WaitForAttach failed";
          throw new MountError(error.message, {
            operation,
            ...(user.mode === "Block" && { reason: "FailedMapVolume" }),
          });
        });
        const isNew = !(await at.users()).some(
          ({ podUid, volume }) => podUid === user.podUid && volume === user.volume,
        );
        await at.add(user);
        try {
          if (user.mode === "Block") return await bindDevice(device, deviceMap(at, user));
          const target = mountPoint(at);
          if (grow) await refreshSize(driver, device, join(fuseFolder(at), source.image));
          const { fsType, mountOptions: options } = source;
          await formatAndMount({
            device,
            target,
            fsType,
            readOnly: readOnly || options.includes("ro"),
            options,
            grow,
            log,
          }).catch((error: Error) => {
            throw new MountError(error.message, { operation: "MountVolume.MountDevice failed" });
          });
          await mkdir(user.path, { recursive: true, mode: 0o750 });
          await bindFolder(target, user.path, { readOnly: source.readOnly });
          return user.path;
        } catch (error) {
          // Containers of the pod may run with what was set up before.
          if (!isNew) throw error;
          await releaseUser(at, user).catch((failed: unknown) =>
            log.warn("an image could not be let go", { image: source.image, error: failed }),
          );
          throw error;
        }
      }),

    async release(podUid) {
      for (const at of await state.all())
        await inTurn(turnOf(at), async () => {
          for (const user of await at.users()) if (user.podUid === podUid) await releaseUser(at, user);
        });
    },

    grow: (source) =>
      inTurn(folderName(source), async () => {
        const at = state.of({ ...source, readOnly: false });
        const mapping = await at.read();
        const device = mapping?.driver && (await findDevice(mapping.driver, found(at, mapping)));
        if (!mapping?.driver || !device) throw new Error(`rbd: image ${source.pool}/${source.image} isn't mapped here`);
        await refreshSize(mapping.driver, device, join(fuseFolder(at), source.image));
        if ((await mountsUnder(mountPoint(at))).length > 0) await growFileSystem(device, mountPoint(at));
      }),

    async releaseAll() {
      for (const at of await state.all())
        await inTurn(turnOf(at), async () => {
          for (const user of await at.users()) await leave(at, user, { lazy: true });
          await letGo(at);
        });
    },
  };
}

const removeEmpty = (path: string): Promise<void> =>
  rmdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
  });
