/** A container's mounts: its volumes, the hosts file and the file for its last words. */
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Mount, MountPropagation } from "../cri/types.d.ts";
import { expandOrThrow } from "../core/expansion.ts";
import type { ContainerSpec, PodView } from "../core/types.ts";
import type { NodeLayout } from "./layout.ts";
import type { MountedVolume } from "./manager.ts";
import { mountSubPath } from "./sub-path.ts";

export interface ContainerMountsInput {
  readonly layout: NodeLayout;
  readonly volumes: ReadonlyMap<string, MountedVolume>;
  readonly variables: ReadonlyMap<string, string>;
  /** The pod's hosts file; "" when it has none. */
  readonly hostsPath: string;
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
    let hostPath = volume.path;
    if (subPath) {
      if (subPath.startsWith("/")) throw new Error(`error SubPath \`${subPath}\` must not be an absolute path`);
      if (subPath.split("/").includes(".."))
        throw new Error(`unable to provision SubPath \`${subPath}\`: must not contain '..'`);
      hostPath = at.subPath(mount.name, container.name, index);
      await mountSubPath(volume.path, subPath, hostPath).catch((error: Error) => {
        throw new Error(
          `failed to prepare subPath for volumeMount ${JSON.stringify(mount.name)} of container ${JSON.stringify(container.name)}: ${error.message}`,
        );
      });
    }
    mounts.push({
      containerPath: absolute(mount.mountPath),
      hostPath,
      readonly: mount.readOnly === true || volume.readOnly,
      propagation: propagations[mount.mountPropagation ?? ""] ?? "PROPAGATION_PRIVATE",
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
