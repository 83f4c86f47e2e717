/**
 * Image volumes: the files of an image, read-only. Runtimes mount them themselves, but containerd only since 2.1; from an older one we ask
 * for a read-only snapshot and mount that below the pod's volumes, from where it is used as any other. What is mounted is found again by
 * its folder, so taking down works after a restart.
 */
import { mkdir, readdir } from "node:fs/promises";
import type { ContainerSpec, PodView } from "../core/types.ts";
import type { CriClient } from "../cri/client.ts";
import type { ImageSpec } from "../cri/types.d.ts";
import { type EnsureImage, ImageError, type ImageManager, type PresentImage } from "../images/image-manager.ts";
import type { Snapshots } from "../runtime/containerd-snapshots.ts";
import type { NodeLayout } from "./layout.ts";
import { mountSource, mountsUnder, unmount } from "./mount-table.ts";

/** The runtime mounts it, or we have (at `path`). */
export type MountedImage = { readonly image: ImageSpec } | { readonly path: string };

export interface ImageVolumes {
  /** Those that this container mounts, by volume. Rejects with ImageError. */
  ensure(request: EnsureImage): Promise<ReadonlyMap<string, MountedImage>>;
  /** Of a pod; nothing where the runtime does it. */
  tearDown(podUid: string): Promise<void>;
  close(): void;
}

export interface ImageVolumesOptions {
  readonly images: ImageManager;
  readonly cri: CriClient;
  readonly runtime: { readonly name: string; readonly version: string; readonly endpoint: string };
  readonly layout: NodeLayout;
}

export function createImageVolumes({ images, cri, runtime, layout }: ImageVolumesOptions): ImageVolumes {
  const isOurs = !mountsImages(runtime);
  let connection: Promise<Snapshots> | undefined;
  const snapshots = () => {
    connection ??= import("../runtime/containerd-snapshots.ts").then(({ connectSnapshots }) =>
      connectSnapshots(runtime.endpoint, cri),
    );
    return connection;
  };
  const keyOf = (podUid: string, volume: string) => `sampan-volume-${podUid}-${volume}`;

  async function mount(podUid: string, volume: string, image: PresentImage): Promise<MountedImage> {
    const path = layout.pod(podUid).volume("image", volume);
    if ((await mountsUnder(path)).includes(path)) return { path };
    try {
      await mkdir(path, { recursive: true, mode: 0o755 });
      for (const request of await (await snapshots()).view(keyOf(podUid, volume), image.id))
        await mountSource({ ...request, target: path });
    } catch (error) {
      // What a runtime that mounts it itself would say.
      const why = error instanceof Error ? error.message : String(error);
      throw new ImageError("CreateContainerError", `ImageVolumeMountFailed: ${why}`);
    }
    return { path };
  }

  return {
    async ensure(request) {
      const { pod, container } = request;
      const uid = pod.metadata.uid ?? "";
      const mounted = new Map<string, MountedImage>();
      let failed: unknown;
      for (const { name, reference, pullPolicy } of imagesOf(pod, container)) {
        try {
          const asked = { ...container, image: reference, ...(pullPolicy ? { imagePullPolicy: pullPolicy } : {}) };
          const image = await images.ensure({ ...request, container: asked });
          const spec = { image: image.id, userSpecifiedImage: reference, annotations: { ...pod.metadata.annotations } };
          mounted.set(name, isOurs ? await mount(uid, name, image) : { image: spec });
        } catch (error) {
          if (!(error instanceof ImageError)) throw error;
          failed = error;
        }
      }
      if (failed) throw failed;
      return mounted;
    },
    async tearDown(podUid) {
      const folder = layout.pod(podUid).volume("image", "");
      const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT") return [];
        throw error;
      });
      for (const name of names) {
        for (const point of await mountsUnder(layout.pod(podUid).volume("image", name)))
          await unmount(point, { lazy: true });
        await (await snapshots()).remove(keyOf(podUid, name));
      }
    },
    close: () => void connection?.then((open) => open.close()),
  };
}

/** containerd knows them since 2.1; of others that are about today all do. */
function mountsImages({ name, version }: { name: string; version: string }): boolean {
  const [major = 0, minor = 0] = version.replace(/^v/, "").split(".").map(Number);
  return name !== "containerd" || major > 2 || (major === 2 && minor >= 1);
}

/** Each volume once. */
function imagesOf(pod: PodView, container: ContainerSpec) {
  const mounted = new Set((container.volumeMounts ?? []).map(({ name }) => name));
  return (pod.spec?.volumes ?? []).flatMap(({ name, image }) =>
    image && mounted.has(name) ? [{ name, reference: image.reference ?? "", pullPolicy: image.pullPolicy }] : [],
  );
}

export const hasImages = (pod: PodView): boolean => pod.spec?.volumes?.some(({ image }) => image) ?? false;
