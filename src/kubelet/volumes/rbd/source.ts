/** What an RBD volume asks for, whether it is written in a pod or is a persistent volume. Pure. Upstream's rbd.go (until 1.30). */
import { accessProblem, type CephAccess, type RbdImage } from "#base";
import type { VolumeRequest } from "../plugin.ts";

export interface RbdSource extends RbdImage {
  readonly access: Omit<CephAccess, "key">;
  readonly secret: { readonly namespace: string; readonly name: string } | undefined;
  readonly fsType: string;
  readonly readOnly: boolean;
  /** Nobody ever writes: it isn't asked whether others use the image. */
  readonly onlyReaders: boolean;
  readonly mountOptions: readonly string[];
}

/** Rejects what could be read as something else by the programs that get it. */
export function rbdSource({
  volume,
  persistent,
  pod,
  readOnly: asked,
}: Pick<VolumeRequest, "volume" | "persistent" | "pod" | "readOnly">): RbdSource {
  const spec = persistent?.spec;
  const source = spec?.rbd ?? volume.rbd;
  if (!source) throw new Error("spec does not reference a RBD volume type");
  const {
    monitors,
    image,
    pool = "rbd",
    user = "admin",
    keyring = "/etc/ceph/keyring",
    fsType = "",
    secretRef,
  } = source;
  const access = { monitors: [...monitors], user, keyring };
  const problem =
    accessProblem(access, { pool, image }) ??
    (/^[\w.+-]*$/.test(fsType) ? undefined : `invalid fsType ${JSON.stringify(fsType)}`);
  if (problem) throw new Error(`rbd: ${problem}`);
  const modes = spec?.accessModes ?? [];
  const onlyReaders = modes.length === 1 && modes[0] === "ReadOnlyMany";
  // Those in pods are in the pod's namespace; a persistent volume may name another.
  const { namespace = pod.metadata.namespace ?? "" } = (spec && (secretRef as { namespace?: string })) || {};
  return {
    pool,
    image,
    access,
    secret: secretRef?.name ? { namespace, name: secretRef.name } : undefined,
    fsType: fsType || "ext4",
    readOnly: asked || onlyReaders || (!spec && source.readOnly === true),
    onlyReaders,
    mountOptions: spec?.mountOptions ?? [],
  };
}

/** Upstream's name for the folder where an image is mounted once for all pods of the node. */
export const folderName = ({ pool, image }: RbdImage): string => `${pool}-image-${image}`;
