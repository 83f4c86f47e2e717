/**
 * Volumes of Ceph: `rbd` in a pod or as a persistent volume, as upstream had them until 1.30 and Kubernetes began with. See docs/rbd.md.
 * The node's own secrets are used as they are when an image is mapped; a key that changes later isn't asked for again.
 */
import { join } from "node:path";
import { accessProblem, cephKeyOf } from "#base";
import { delay } from "#client";
import { compareQuantities, isStatusError } from "#machinery";
import { MountError, type VolumeHost, type VolumePlugin, type VolumeRequest } from "../plugin.ts";
import { type Claim, finishExpansion, wantedSize } from "./expand.ts";
import { createRbdImages } from "./images.ts";
import { type RbdSource, rbdSource } from "./source.ts";

export const rbdFolder = (kubeletFolder: string): string => join(kubeletFolder, "plugins/kubernetes.io/rbd");

export function createRbdPlugin(host: VolumeHost): VolumePlugin {
  const { client, log, nodeName } = host;
  const images = createRbdImages({ folder: rbdFolder(host.folder), nodeName, log });

  async function keyOf(source: RbdSource): Promise<string | undefined> {
    const { secret } = source;
    if (!secret) return undefined;
    const { namespace, name } = secret;
    const found = await client
      .resource("v1/secrets", namespace)
      .get(name)
      .catch((error: Error) => {
        throw new Error(`couldn't get secret ${namespace}/${name} err: ${error.message}`);
      });
    const key = cephKeyOf(found.data);
    const problem = accessProblem({ ...source.access, key }, source);
    if (problem) throw new Error(`rbd: secret ${namespace}/${name}: ${problem}`);
    return key;
  }

  /** Claims that may grow while pods use them, by the pod and volume. */
  const growing = new Map<string, VolumeRequest>();
  let looking = false;

  async function grow(request: VolumeRequest): Promise<void> {
    const { persistent } = request;
    const { name = "", namespace = "" } = persistent?.spec?.claimRef ?? {};
    const claim = await client.resource("v1/persistentvolumeclaims", namespace).get(name);
    const size = wantedSize(persistent, claim);
    // Of a device the claim says it already; the device itself doesn't know.
    if (size !== undefined || request.mode === "Block") await images.grow(rbdSource(request));
    if (size === undefined) return;
    await finish(request, claim, size);
  }

  async function finish({ pod, persistent }: VolumeRequest, claim: Claim, size: string): Promise<void> {
    const message = `MountVolume.NodeExpandVolume succeeded for volume ${JSON.stringify(persistent?.metadata.name)} ${nodeName}`;
    for (const about of [pod, claim]) host.event(about, "Normal", "FileSystemResizeSuccessful", message);
    await finishExpansion(client, claim, size);
  }

  /** No event tells a node of a claim: it may only ask for those of its pods. */
  async function lookAtSizes(): Promise<void> {
    if (looking) return;
    looking = true;
    while (growing.size > 0 && !host.signal.aborted) {
      await delay(host.clock, host.syncMs, host.signal);
      for (const [key, request] of [...growing]) {
        if (host.signal.aborted) break;
        const name = request.persistent?.metadata.name ?? "";
        try {
          const persistent = await client.resource("v1/persistentvolumes").get(name);
          const before = request.persistent?.spec?.capacity?.storage ?? "0";
          if (!growing.has(key) || compareQuantities(persistent.spec?.capacity?.storage ?? "0", before) <= 0) continue;
          await grow({ ...request, persistent });
          growing.set(key, { ...request, persistent });
        } catch (error) {
          if (!isStatusError(error, "NotFound")) log.warn("a volume could not be grown", { volume: name, error });
        }
      }
    }
    looking = false;
  }

  return {
    async setUp(request) {
      const { pod, volume, persistent, claim, mode } = request;
      const isBlock = mode === "Block";
      const { source, key } = await (async () => {
        const found = rbdSource(request);
        return { source: found, key: await keyOf(found) };
      })().catch((error: Error) => {
        const what = isBlock ? "MapVolume.NewBlockVolumeMapper" : "MountVolume.NewMounter";
        const reason = isBlock ? "FailedMapVolume" : "FailedMount";
        throw new MountError(error.message, { operation: `${what} initialization failed`, reason });
      });
      const name = persistent?.metadata.name ?? volume.name;
      const podUid = pod.metadata.uid ?? "";
      const path = isBlock ? join(host.layout.pod(podUid).devices("rbd"), name) : request.path;
      const user = { podUid, volume: name, mode, path };
      const size = claim && !source.readOnly ? wantedSize(persistent, claim) : undefined;
      const used = await images.use(source, user, { key, grow: size !== undefined });
      if (claim && size !== undefined) await finish(request, claim, size);
      if (claim && !source.readOnly) {
        growing.set(`${podUid}/${name}`, request);
        void lookAtSizes();
      }
      return {
        path: used,
        readOnly: source.readOnly,
        ownsFiles: !isBlock && !source.readOnly,
        ...(isBlock && { isBlock }),
      };
    },
    async tearDown(podUid) {
      for (const key of growing.keys()) if (key.startsWith(`${podUid}/`)) growing.delete(key);
      await images.release(podUid);
    },
    close: async () => growing.clear(),
  };
}

/** For the end of a node, when no pod is left and nobody knows of any. */
export async function releaseRbd(kubeletFolder: string, log: VolumeHost["log"]): Promise<void> {
  await createRbdImages({ folder: rbdFolder(kubeletFolder), nodeName: "", log }).releaseAll();
}
