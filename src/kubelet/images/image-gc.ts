/**
 * Frees disk space by removing images that nothing uses: those unused for too long, and when the disk is fuller than the high mark, the ones
 * unused longest until it is below the low mark. Never one that is pinned, young, of a container or of an image volume.
 */
import { statfs } from "node:fs/promises";
import type { Clock, Logger } from "#base";
import { delay } from "#client";
import type { CriClient } from "../cri/client.ts";
import { printRuntimeError } from "./image-manager.ts";

export interface ImageGc {
  /** Removes what has to go; answers the bytes freed. `all`: every unused image, whatever the disk says. Rejects when it isn't enough. */
  collect(options?: { all?: boolean }): Promise<number>;
  /** Collects every few minutes until the signal aborts; repeated failures become events. */
  run(signal: AbortSignal): Promise<void>;
}

export interface ImageGcOptions {
  readonly cri: CriClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly config: {
    readonly imageGCHighThresholdPercent: number;
    readonly imageGCLowThresholdPercent: number;
    readonly imageMinimumGCAge: number;
    /** 0: no limit. */
    readonly imageMaximumGCAge: number;
  };
  /** Never removed: what was imported by hand, and the sandbox's. */
  pinned(): Promise<ReadonlySet<string>>;
  /** Names of images that are mounted. */
  mounted(): ReadonlySet<string>;
  event(type: "Normal" | "Warning", reason: string, message: string): void;
  /** What is left after space was freed; `since`: images of later don't count. */
  onCollected?(images: readonly string[], since: number): Promise<void>;
}

/** Upstream's. */
const periodMs = 5 * 60_000;
/** The start of a node is busy enough; what is there then gets its age a little later. */
const firstLookMs = 30_000;

interface Seen {
  readonly firstSeen: number;
  /** 0: never. */
  lastUsed: number;
}

interface Candidate extends Seen {
  readonly id: string;
  readonly name: string;
  readonly bytes: number;
}

export function createImageGc(options: ImageGcOptions): ImageGc {
  const { cri, clock, log, config } = options;
  const seen = new Map<string, Seen>();
  const beganAt = clock.now();

  /** Notes what is there and used; answers what may go, the one unused longest first. */
  async function look(now: number): Promise<Candidate[]> {
    const [{ images }, { containers }, pinnedNames] = await Promise.all([
      cri.image.listImages({}),
      cri.runtime.listContainers({}),
      options.pinned(),
    ]);
    const used = new Set(containers.flatMap(({ imageRef, image, imageId }) => [imageRef, image?.image ?? "", imageId]));
    for (const name of options.mounted()) used.add(name);
    const candidates: Candidate[] = [];
    for (const { id, size, pinned, repoTags, repoDigests } of images) {
      const names = [id, ...repoTags, ...repoDigests];
      const known = seen.get(id) ?? { firstSeen: now, lastUsed: 0 };
      seen.set(id, known);
      const inUse = names.some((name) => used.has(name));
      if (inUse) known.lastUsed = now;
      if (inUse || pinned || names.some((name) => pinnedNames.has(name))) continue;
      candidates.push({ id, name: repoTags[0] ?? id, bytes: size, ...known });
    }
    const here = new Set(images.map(({ id }) => id));
    for (const id of seen.keys()) if (!here.has(id)) seen.delete(id);
    return candidates.sort((a, b) => a.lastUsed - b.lastUsed || a.firstSeen - b.firstSeen);
  }

  async function remove({ id, name, bytes }: Candidate, why: string): Promise<void> {
    await cri.image.removeImage({ image: { image: id } });
    seen.delete(id);
    log.info("removed an unused image", { image: name, bytes, why });
  }

  /** Answers those that stay. */
  async function removeOld(candidates: readonly Candidate[], now: number): Promise<readonly Candidate[]> {
    const { imageMaximumGCAge: ageMsMax } = config;
    // Before, this node can't know how long an image has been unused.
    if (ageMsMax === 0 || now - beganAt <= ageMsMax) return candidates;
    const stay: Candidate[] = [];
    const problems: string[] = [];
    for (const one of candidates) {
      if (now - one.lastUsed > ageMsMax)
        try {
          await remove(one, "age");
          continue;
        } catch (error) {
          problems.push(printRuntimeError(error));
        }
      stay.push(one);
    }
    if (problems.length > 0)
      throw new Error(
        `wanted to free images older than ${ageMsMax / 1000}s, encountered errors in image deletion: ${problems.join(", ")}`,
      );
    return stay;
  }

  async function free(candidates: readonly Candidate[], wantBytes: number, now: number): Promise<number> {
    let freed = 0;
    const problems: string[] = [];
    const left = new Set(seen.keys());
    for (const one of candidates) {
      if (freed >= wantBytes) break;
      // It may be here for a container that is about to start.
      if (now - one.firstSeen < config.imageMinimumGCAge) continue;
      try {
        await remove(one, "space");
        left.delete(one.id);
        freed += one.bytes;
      } catch (error) {
        problems.push(printRuntimeError(error));
      }
    }
    if (problems.length > 0)
      throw new Error(
        `wanted to free ${wantBytes} bytes, but freed ${freed} bytes space with errors in image deletion: ${problems.join(", ")}`,
      );
    await options.onCollected?.([...left], now);
    return freed;
  }

  async function collect({ all = false } = {}): Promise<number> {
    const now = clock.now();
    const candidates = await look(now);
    if (all) return free(candidates, Number.MAX_SAFE_INTEGER, now);
    const left = await removeOld(candidates, now);
    const usage = await diskUsage(cri);
    if (!usage?.capacityBytes) {
      const message = "invalid capacity 0 on image filesystem";
      options.event("Warning", "InvalidDiskCapacity", message);
      throw new Error(message);
    }
    const { capacityBytes } = usage;
    const availableBytes = Math.min(usage.availableBytes, capacityBytes);
    const usedPercent = 100 - Math.floor((availableBytes * 100) / capacityBytes);
    if (usedPercent < config.imageGCHighThresholdPercent) return 0;
    const lowMark = Math.floor((capacityBytes * (100 - config.imageGCLowThresholdPercent)) / 100);
    const wantBytes = lowMark - availableBytes;
    const freed = await free(left, wantBytes, now);
    if (freed >= wantBytes) return freed;
    const message =
      `Insufficient free disk space on the node's image filesystem (${usedPercent}% of ${printSize(capacityBytes)} used). ` +
      `Failed to free sufficient space by deleting unused images (freed ${freed} bytes). ` +
      "Investigate disk usage, as it could be used by active images, logs, volumes, or other data.";
    options.event("Warning", "FreeDiskSpaceFailed", message);
    throw new Error(message);
  }

  return {
    collect,
    async run(signal) {
      // Nothing to do ever, as upstream.
      if (config.imageGCHighThresholdPercent === 100 && config.imageMaximumGCAge === 0) return;
      await delay(clock, firstLookMs, signal);
      if (!signal.aborted)
        await look(clock.now()).catch((error: unknown) => log.warn("images could not be looked at", { error }));
      for (let failedBefore = false; !signal.aborted; ) {
        await delay(clock, periodMs, signal);
        if (signal.aborted) return;
        try {
          await collect();
          failedBefore = false;
        } catch (error) {
          log.warn("image garbage collection failed", { error });
          if (failedBefore) options.event("Warning", "ImageGCFailed", printRuntimeError(error));
          failedBefore = true;
        }
      }
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

const units = ["KiB", "MiB", "GiB", "TiB"];

function printSize(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const step = Math.min(units.length, Math.floor(Math.log2(bytes) / 10));
  return `${(bytes / 1024 ** step).toFixed(1)} ${units[step - 1]}`;
}
