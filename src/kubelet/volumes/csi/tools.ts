/** What every operation on a CSI volume needs. */
import type { CSIDriver, VolumeAttachment } from "#api";
import type { DeepReadonly } from "#machinery";
import type { VolumeHost, VolumeRequest } from "../plugin.ts";
import type { StringMap } from "./driver-call.ts";
import type { CsiDrivers } from "./drivers.ts";
import { attachmentName, type CsiPaths, ephemeralHandle, uniqueName } from "./paths.ts";

export type DriverKind = DeepReadonly<CSIDriver>["spec"] | undefined;
export type Attachment = DeepReadonly<VolumeAttachment> | undefined;

export interface CsiTools {
  readonly host: VolumeHost;
  readonly drivers: CsiDrivers;
  readonly paths: CsiPaths;
  /** {} for no reference. Rejects with upstream's text behind what `prefix` makes of `namespace/name`. */
  secret(
    reference: { readonly name?: string; readonly namespace?: string } | undefined,
    prefix: (which: string) => string,
  ): Promise<StringMap>;
}

/** One pod's use of a volume. */
export interface CsiVolume {
  readonly request: VolumeRequest;
  /** Of the persistent volume, or the volume in the pod. */
  readonly name: string;
  readonly podUid: string;
  readonly driver: string;
  readonly handle: string;
  readonly unique: string;
  readonly isEphemeral: boolean;
  /** Of the VolumeAttachment, if it needs one. */
  readonly attachmentId: string;
}

export function csiVolume(request: VolumeRequest, nodeName: string): CsiVolume {
  const { pod, volume, persistent } = request;
  const podUid = pod.metadata.uid ?? "";
  const name = persistent?.metadata.name ?? volume.name;
  const driver = persistent?.spec?.csi?.driver ?? volume.csi?.driver ?? "";
  const handle = persistent?.spec?.csi?.volumeHandle ?? ephemeralHandle(podUid, name);
  return {
    request,
    name,
    podUid,
    driver,
    handle,
    unique: uniqueName(driver, handle),
    isEphemeral: persistent === undefined,
    attachmentId: attachmentName(handle, driver, nodeName),
  };
}

/** In front of what upstream's plugin says. */
export const said = (text: string): string => `kubernetes.io/csi: ${text}`;

/** Puts a text before that of an error; the error stays its cause. */
export const prefixed = (prefix: string) => (error: unknown) => {
  throw new Error(prefix + (error instanceof Error ? error.message : String(error)), { cause: error });
};

export function createSecretReader(client: VolumeHost["client"]): CsiTools["secret"] {
  return async (reference, prefix) => {
    if (!reference) return {};
    const { name = "", namespace = "" } = reference;
    const found = await client
      .resource("v1/secrets", namespace)
      .get(name)
      .catch(
        prefixed(
          prefix(`${namespace}/${name}`) +
            said(`failed to find the secret ${name} in the namespace ${namespace} with error: `),
        ),
      );
    return Object.fromEntries(
      Object.entries(found.data ?? {}).map(([key, text]) => [key, Buffer.from(text, "base64").toString()]),
    );
  };
}
