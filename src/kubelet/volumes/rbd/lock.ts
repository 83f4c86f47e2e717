/**
 * That nobody else writes to an image. Upstream looks whether somebody keeps watch over it, and 1.0 took an advisory lock; looking alone lets
 * two nodes pass that look at the same time, and a lock alone outlives the machine that took it. So both: lock, map, and look again.
 */
import { type CephAccess, imageArguments, ProgramError, type RbdImage, rbd, rbdInfo, rbdWatchers } from "#base";
import type { Logger } from "#base";

/** Whose lock it is: 1.0's kubelet took it under this name, followed by the node's. */
export const lockPrefix = "kubelet_lock_magic_";

export interface Claimant {
  readonly access: CephAccess;
  readonly image: RbdImage;
  /** Its lock. */
  readonly id: string;
  readonly log: Logger;
}

interface Lock {
  readonly id: string;
  readonly locker: string;
}

async function ask<T>(work: Promise<T>): Promise<T> {
  return work.catch((error) => {
    if (!(error instanceof ProgramError)) throw error;
    throw new Error(`fail to check rbd image status with: (${error.status}), rbd output: (${error.output})`);
  });
}

const locks = async ({ access, image }: Claimant): Promise<readonly Lock[]> =>
  JSON.parse(await rbd(access, ["lock", "list", ...imageArguments(image), "--format=json"])) as Lock[]; // its documented form

const stillUsed = ({ pool, image }: RbdImage) => new Error(`rbd image ${pool}/${image} is still being used`);
const lockedByOthers = ({ image }: RbdImage) => new Error(`rbd: image ${image} is locked by other nodes`);

/** Whether the image keeps writers apart by itself: then it can't be locked otherwise. Rejects when it can't be reached. */
export const isSelfLocking = async ({ access, image }: Pick<Claimant, "access" | "image">): Promise<boolean> =>
  (await ask(rbdInfo(access, image))).features.includes("exclusive-lock");

/** Before an image is mapped for writing. Rejects when somebody has it. */
export async function lockImage(claimant: Claimant, selfLocking: boolean): Promise<void> {
  const { access, image, log } = claimant;
  const watched = (await ask(rbdWatchers(access, image))).length > 0;
  const held = await ask(locks(claimant));
  const isOurs = ({ id }: Lock) => id === claimant.id;
  // What a node holds that nobody watches over is of one that died.
  const isStale = ({ id }: Lock) => id.startsWith(lockPrefix) && !watched;
  if (!selfLocking && held.some((lock) => !isOurs(lock) && !isStale(lock))) throw lockedByOthers(image);
  if (watched) throw stillUsed(image);
  if (selfLocking || held.some(isOurs)) return;
  for (const lock of held) {
    log.warn("the lock of a node that no longer uses an image is taken away", { image: image.image, lock: lock.id });
    await ask(removeLock(claimant, lock));
  }
  await rbd(access, ["lock", "add", ...imageArguments(image), claimant.id]).catch((error) => {
    if (error instanceof ProgramError && error.exitCode === lockedExit) throw lockedByOthers(image);
    throw error;
  });
}
/** EBUSY. */
const lockedExit = 16;

/** After it: whoever came at the same moment is seen now, by both. */
export async function checkAlone(claimant: Claimant, selfLocking: boolean): Promise<void> {
  if ((await ask(rbdWatchers(claimant.access, claimant.image))).length > 1) throw stillUsed(claimant.image);
  if (!selfLocking && !(await ask(locks(claimant))).some(({ id }) => id === claimant.id))
    throw lockedByOthers(claimant.image);
}

/** Only this node's; idempotent. */
export async function unlockImage(claimant: Claimant): Promise<void> {
  for (const lock of await ask(locks(claimant))) if (lock.id === claimant.id) await ask(removeLock(claimant, lock));
}

async function removeLock({ access, image }: Claimant, { id, locker }: Lock): Promise<void> {
  await rbd(access, ["lock", "remove", ...imageArguments(image), id, locker]).catch((error) => {
    // Somebody else did.
    if (!(error instanceof ProgramError && error.exitCode === 2)) throw error;
  });
}
