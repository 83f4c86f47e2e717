/** What is mounted once, in a pod's place: as the pod may use it. */
import { bindMount, mountsUnder, unmount } from "../mount-table.ts";
import { runProgram } from "#base";

/** Idempotent. */
export async function bindFolder(source: string, target: string, { readOnly }: { readOnly: boolean }): Promise<void> {
  if ((await mountsUnder(target)).includes(target)) return;
  await bindMount(source, target);
  if (!readOnly) return;
  try {
    // The kernel takes this only of what is bound already.
    await runProgram("mount", ["-o", "remount,bind,ro", target]);
  } catch (error) {
    await unmount(target);
    throw error;
  }
}
