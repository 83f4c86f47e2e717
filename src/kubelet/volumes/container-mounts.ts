/** A container's mounts: its volumes, the hosts file and the file for its last words. */
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "#base";
import type { Mount, MountPropagation } from "../cri/types.d.ts";
import { expandOrThrow } from "../core/expansion.ts";
import { recursiveReadOnly, type VolumeMountView } from "../core/recursive-read-only.ts";
import { type ContainerSpec, type PodView, printPod } from "../core/types.ts";
import type { MountedImage } from "./image-volumes.ts";
import type { NodeLayout } from "./layout.ts";
import type { MountedVolume } from "./manager.ts";
import { mountSubPath, type SubPathError } from "./sub-path.ts";

export interface ContainerMountsInput {
  readonly layout: NodeLayout;
  readonly volumes: ReadonlyMap<string, MountedVolume>;
  readonly variables: ReadonlyMap<string, string>;
  /** The pod's hosts file; "" when it has none. */
  readonly hostsPath: string;
  /** By volume. */
  readonly images: ReadonlyMap<string, MountedImage>;
  /** The runtime can make what is mounted below a mount read-only, too. */
  readonly canRecursiveReadOnly: boolean;
  readonly log: Logger;
}

const propagations: Readonly<Record<string, MountPropagation>> = {
  HostToContainer: "PROPAGATION_HOST_TO_CONTAINER",
  Bidirectional: "PROPAGATION_BIDIRECTIONAL",
};

/** Rejects with the text of the container's start problem. */
export async function containerMounts(
  pod: PodView,
  container: ContainerSpec,
  input: ContainerMountsInput,
): Promise<Mount[]> {
  const { layout, volumes, variables, hostsPath } = input;
  const at = layout.pod(pod.metadata.uid ?? "");
  const mounts: Mount[] = [];
  for (const [index, mount] of (container.volumeMounts ?? []).entries()) {
    const volume = volumes.get(mount.name);
    if (!volume)
      throw new Error(
        `cannot find volume ${JSON.stringify(mount.name)} to mount into container ${JSON.stringify(container.name)}`,
      );
    const subPath = mount.subPathExpr
      ? expandOrThrow(mount.subPathExpr, (name) => variables.get(name))
      : (mount.subPath ?? "");
    const image = input.images.get(mount.name);
    let hostPath = image ? ("path" in image ? image.path : "") : volume.path;
    if (subPath) {
      if (subPath.startsWith("/")) throw new Error(`error SubPath \`${subPath}\` must not be an absolute path`);
      if (subPath.split("/").includes(".."))
        throw new Error(`unable to provision SubPath \`${subPath}\`: must not contain '..'`);
      if (hostPath) {
        const target = at.subPath(mount.name, container.name, index);
        await mountSubPath(hostPath, subPath, target).catch((error: SubPathError) => {
          const where = `for volumeMount ${JSON.stringify(mount.name)} of container ${JSON.stringify(container.name)}`;
          input.log.error("a part of a volume can't be mounted", { pod: printPod(pod), subPath, error });
          throw new Error(
            error.step === "create"
              ? `failed to create subPath directory ${where}`
              : `failed to prepare subPath ${where}`,
          );
        });
        hostPath = target;
      }
    }
    mounts.push({
      containerPath: absolute(mount.mountPath),
      hostPath,
      readonly: mount.readOnly === true || volume.readOnly,
      propagation: propagations[mount.mountPropagation ?? ""] ?? "PROPAGATION_PRIVATE",
      ...recursively(mount, input.canRecursiveReadOnly),
      ...(image && "image" in image ? { image: image.image, ...(subPath ? { imageSubPath: subPath } : {}) } : {}),
    });
  }
  if (hostsPath && !mounts.some(({ containerPath }) => containerPath === "/etc/hosts"))
    mounts.push({ containerPath: "/etc/hosts", hostPath: hostsPath });
  if (container.terminationMessagePath)
    mounts.push({
      containerPath: absolute(container.terminationMessagePath),
      hostPath: await terminationFile(at.container(container.name)),
    });
  return mounts;
}

function recursively(mount: VolumeMountView, can: boolean): Mount {
  const { is, problem } = recursiveReadOnly(mount, can);
  if (problem) throw new Error(`failed to resolve recursive read-only mode: ${problem}`);
  return is ? { recursiveReadOnly: true } : {};
}

/** An empty file that every user may write; each run of a container has one of its own. */
async function terminationFile(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o750 });
  const path = join(
    folder,
    Math.floor(Math.random() * 2 ** 32)
      .toString(16)
      .padStart(8, "0"),
  );
  await writeFile(path, "");
  await chmod(path, 0o666);
  return path;
}

const absolute = (path: string): string => (path.startsWith("/") ? path : `/${path}`);
