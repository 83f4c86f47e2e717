/** Frees disk space by removing images that no container uses: oldest use first, when the disk is fuller than the high mark. */
import { statfs } from "node:fs/promises";
import type { Clock, Logger } from "#base";
import { printRuntimeError } from "./image-manager.ts";
import type { CriClient } from "../cri/client.ts";

export interface ImageGc {
  /** Removes what has to go; answers the bytes freed. `all`: every unused image, whatever the disk says. */
  collect(options?: { all?: boolean }): Promise<number>;
}

export interface ImageGcOptions {
  readonly cri: CriClient;
  readonly clock: Clock;
  readonly log: Logger;
  /** Never removed: what was imported by hand, and the sandbox's. */
  pinned(): Promise<ReadonlySet<string>>;
  event(type: "Normal" | "Warning", reason: string, message: string): void;
  readonly highPercent?: number;
  readonly lowPercent?: number;
}

/** An image may be here for a container that is about to start. */
const ageMsMin = 120_000;

export function createImageGc(options: ImageGcOptions): ImageGc {
  const { cri, clock, log, highPercent = 85, lowPercent = 80 } = options;
  const firstSeen = new Map<string, number>();
  const lastUsed = new Map<string, number>();

  return {
    async collect({ all = false } = {}) {
      const now = clock.now();
      const [{ images }, { containers }, pinnedNames, usage] = await Promise.all([
        cri.image.listImages({}),
        cri.runtime.listContainers({}),
        options.pinned(),
        diskUsage(cri),
      ]);
      const inUse = new Set(
        containers.flatMap(({ imageRef, image, imageId }) => [imageRef, image?.image ?? "", imageId]),
      );
      for (const { id } of images) {
        if (!firstSeen.has(id)) firstSeen.set(id, now);
        if (inUse.has(id)) lastUsed.set(id, now);
      }
      for (const id of firstSeen.keys())
        if (!images.some((image) => image.id === id)) {
          firstSeen.delete(id);
          lastUsed.delete(id);
        }
      const usedPercent = usage ? 100 - (usage.availableBytes * 100) / usage.capacityBytes : 0;
      if (!all && usedPercent < highPercent) return 0;
      const wantBytes =
        all || !usage
          ? Number.POSITIVE_INFINITY
          : (usage.capacityBytes * (100 - lowPercent)) / 100 - usage.availableBytes;

      const candidates = images
        .filter(({ id, pinned, repoTags, repoDigests }) => {
          const names = [id, ...repoTags, ...repoDigests];
          return !pinned && !names.some((name) => inUse.has(name)) && !names.some((name) => pinnedNames.has(name));
        })
        .filter(({ id }) => now - (firstSeen.get(id) ?? now) >= ageMsMin || all)
        .sort((a, b) => (lastUsed.get(a.id) ?? 0) - (lastUsed.get(b.id) ?? 0));
      let freed = 0;
      for (const { id, size, repoTags } of candidates) {
        if (freed >= wantBytes) break;
        try {
          await cri.image.removeImage({ image: { image: id } });
          freed += size;
          log.info("removed an unused image", { image: repoTags[0] ?? id, bytes: size });
        } catch (error) {
          log.warn("an unused image could not be removed", {
            image: repoTags[0] ?? id,
            error: printRuntimeError(error),
          });
        }
      }
      if (Number.isFinite(wantBytes) && freed < wantBytes) {
        const message = `Failed to garbage collect required amount of images. Attempted to free ${Math.ceil(wantBytes)} bytes, but only found ${freed} bytes eligible to free.`;
        options.event("Warning", "FreeDiskSpaceFailed", message);
      }
      return freed;
    },
  };
}

/** Of the file system that images are on; undefined when the runtime doesn't say where that is. */
export async function diskUsage(
  cri: CriClient,
): Promise<{ capacityBytes: number; availableBytes: number } | undefined> {
  const { imageFilesystems } = await cri.image.imageFsInfo({});
  const mountpoint = imageFilesystems[0]?.fsId?.mountpoint;
  if (!mountpoint) return undefined;
  const { bsize, blocks, bavail } = await statfs(mountpoint);
  return { capacityBytes: blocks * bsize, availableBytes: bavail * bsize };
}
