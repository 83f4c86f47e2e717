/** What a pod leaves behind, and older runs of its containers while it lives. */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { PodRuntime, PodView } from "../core/types.ts";
import { CriError } from "../cri/client.ts";
import type { PodContext } from "./context.ts";

/** Files and kernel objects of a pod whose containers are stopped. Its logs and termination files stay until the API lets it go. */
export async function cleanUpVolumes(context: PodContext, uid: string): Promise<void> {
  await context.volumes.tearDown(uid);
  await context.cgroups.remove(uid);
  context.objects.setNeeds(uid, []);
  context.tokens.forget(uid);
  context.images.forget(uid);
}

/** Everything else: containers, sandboxes, logs, the pod's folder. */
export async function cleanUpRuntime(context: PodContext, pod: PodView, runtime: PodRuntime): Promise<void> {
  const { uid = "" } = pod.metadata;
  await removeRuns(context, pod, runtime);
  await context.volumes.remove(uid);
  await context.cgroups.remove(uid);
}

/** What a pod that has ended still has on disk: containers, sandboxes, logs. */
export async function removeRuns(context: PodContext, pod: PodView, runtime: PodRuntime): Promise<void> {
  const { cri, layout } = context;
  const { name = "", namespace = "", uid = "" } = pod.metadata;
  for (const { id } of runtime.containers) await cri.runtime.removeContainer({ containerId: id }).catch(ignoreGone);
  for (const { id } of runtime.sandboxes) await cri.runtime.removePodSandbox({ podSandboxId: id }).catch(ignoreGone);
  await removeLogLinks(
    context,
    runtime.containers.map(({ id }) => id),
  );
  await rm(layout.podLogs({ namespace, name, uid }), { recursive: true, force: true });
}

/** Keeps, of each container, the newest run and the one before (its last state and logs); sandboxes that no kept run is in go too. */
export async function pruneRuns(context: PodContext, { containers, sandboxes }: PodRuntime): Promise<void> {
  const seen = new Map<string, number>();
  const kept = containers.filter(({ name }) => {
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    return count <= 2;
  });
  const old = containers.filter((container) => !kept.includes(container) && container.state === "exited");
  for (const { id, logPath } of old) {
    await context.cri.runtime.removeContainer({ containerId: id }).catch(ignoreGone);
    await rm(logPath, { force: true });
  }
  if (old.length > 0)
    await removeLogLinks(
      context,
      old.map(({ id }) => id),
    );
  for (const { id, ready } of sandboxes.slice(1))
    if (!ready && !kept.some(({ sandboxId }) => sandboxId === id))
      await context.cri.runtime.removePodSandbox({ podSandboxId: id }).catch(ignoreGone);
}

async function removeLogLinks({ layout }: PodContext, ids: readonly string[]): Promise<void> {
  const wanted = new Set(ids);
  const names = await readdir(layout.containerLogs).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  for (const name of names)
    if (wanted.has(name.slice(name.lastIndexOf("-") + 1, -".log".length)))
      await rm(join(layout.containerLogs, name), { force: true });
}

export function ignoreGone(error: unknown): void {
  if (!(error instanceof CriError && error.code === "NOT_FOUND")) throw error;
}
