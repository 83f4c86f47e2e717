/** Everything about images of one node, put together: getting them, whose they are, letting them go. */
import { join } from "node:path";
import type { Clock, Logger } from "#base";
import type { Client } from "#client";
import type { KubeletConfiguration } from "../config/configuration.ts";
import { pinnedImages } from "../image/import.ts";
import { normalName } from "../image/pack.ts";
import type { PodView } from "../core/types.ts";
import type { KubeletOptions } from "../options.ts";
import type { NodeRuntime } from "../runtime-setup.ts";
import { createImageGc, type ImageGc } from "./image-gc.ts";
import { createImageManager, type ImageManager } from "./image-manager.ts";
import { createNodeKeyring } from "./node-keyring.ts";
import { createPullRecords } from "./pull-records.ts";

export interface NodeImages {
  readonly images: ImageManager;
  readonly gc: ImageGc;
}

export interface NodeImagesOptions {
  readonly runtime: Pick<NodeRuntime, "cri" | "store">;
  readonly client: Client;
  readonly config: Readonly<KubeletConfiguration>;
  readonly credentialProvider: KubeletOptions["imageCredentialProvider"];
  /** The node's own. */
  readonly folder: string;
  pods(): Iterable<PodView>;
  event(type: "Normal" | "Warning", reason: string, message: string): void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Rejects when what is configured can't be used. */
export async function createNodeImages(options: NodeImagesOptions): Promise<NodeImages> {
  const { runtime, client, config, credentialProvider, folder, pods, event, clock, log } = options;
  const { cri, store } = runtime;
  const plugins =
    credentialProvider &&
    (await (await import("./credential-plugins.ts")).loadCredentialPlugins(credentialProvider, { client, clock, log }));
  const records = createPullRecords({
    folder: join(folder, "image_manager"),
    policy: config.imagePullCredentialsVerificationPolicy,
    allowlist: config.preloadedImagesVerificationAllowlist,
    images: async () => (await cri.image.listImages({})).images,
    clock,
    log,
  });
  return {
    images: createImageManager({
      ...config,
      cri,
      clock,
      records,
      nodeRing: createNodeKeyring(folder, clock),
      pluginRing: plugins?.ring,
    }),
    gc: createImageGc({
      cri,
      clock,
      log,
      config,
      pinned: async () => (store ? pinnedImages(store.pinnedFile) : new Set<string>()),
      mounted: () => new Set([...pods()].flatMap(mountedImages)),
      event,
      onCollected: records.prune,
    }),
  };
}

const mountedImages = ({ spec }: PodView): string[] =>
  (spec?.volumes ?? []).flatMap(({ image }) => (image?.reference ? [normalName(image.reference)] : []));
