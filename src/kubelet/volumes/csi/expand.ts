/**
 * The node's part of making a volume larger: asking the driver, and saying in the claim's status how that went, so that the resizer can
 * take back what can't be. Follows upstream's node expander, and what it did before claims told of allocated resources.
 */
import type { PersistentVolume, PersistentVolumeClaim } from "#api";
import type { Client } from "#client";
import { compareQuantities, type DeepReadonly, formatTime, quantityValue } from "#machinery";
import { PluginError } from "../../plugins/plugin-protocol.ts";
import type { PodView } from "../../core/types.ts";
import { NotRegisteredError } from "./drivers.ts";
import { type DriverCall, volumeCapability } from "./driver-call.ts";
import type { CsiTools } from "./tools.ts";

type Claim = DeepReadonly<PersistentVolumeClaim>;

export interface Expansion {
  readonly pod: PodView;
  readonly persistent: DeepReadonly<PersistentVolume>;
  readonly mode: "Filesystem" | "Block";
  readonly readOnly: boolean;
  /** Where the pod has it. */
  readonly path: string;
  readonly stagingPath: string;
  /** What the node takes it to have; the claim's status when it is mounted first. */
  readonly oldSize: string | undefined;
}

/** Of volumes that this node has, by unique name: what failed must not be tried in the same way again. */
export interface ExpansionMemory {
  readonly failed: Set<string>;
  readonly inUse: Set<string>;
}

export interface ExpansionTools extends CsiTools {
  readonly memory: ExpansionMemory;
}

class NotSupportedError extends Error {}

/** Answers the size that the volume has now here; rejects with the text after "NodeExpandVolume failed". */
export async function expandOnNode(
  tools: ExpansionTools,
  unique: string,
  expansion: Expansion,
): Promise<string | undefined> {
  const { host, memory } = tools;
  const { pod, persistent, oldSize } = expansion;
  const { name = "", namespace = "" } = persistent.spec?.claimRef ?? {};
  const claim = await host.client
    .resource("v1/persistentvolumeclaims", namespace)
    .get(name)
    .catch((error: Error) => {
      throw new Error(`mountVolume.NodeExpandVolume get PVC failed : ${error.message}`);
    });
  const { capacity, allocatedResources, allocatedResourceStatuses } = claim.status ?? {};
  const shown = capacity?.storage ?? "0";
  const wanted = persistent.spec?.capacity?.storage ?? "0";
  const known = oldSize ?? shown;
  if (compareQuantities(wanted, known) <= 0) return known;
  const tell = (type: "Normal" | "Warning", reason: string, message: string) => {
    host.event(pod, type, reason, message);
    host.event(claim, type, reason, message);
  };
  const about = (what: string, end: string) => `${what} for volume ${JSON.stringify(persistent.metadata.name)} ${end}`;
  if (expansion.readOnly) {
    const why = about("MountVolume.NodeExpandVolume failed", "requested read-only file system");
    tell("Warning", "FileSystemResizeFailed", why);
    return known;
  }
  const done = about("MountVolume.NodeExpandVolume succeeded", host.nodeName);
  const state = allocatedResourceStatuses?.storage;
  if (!state && !allocatedResources) {
    // A resizer from before claims told of that.
    try {
      await askDriver(tools, expansion, wanted);
    } catch (error) {
      if (error instanceof NotSupportedError) return wanted;
      if (!isInUse(error)) throw error;
      memory.inUse.add(unique);
      return known;
    }
    tell("Normal", "FileSystemResizeSuccessful", done);
    if (compareQuantities(shown, wanted) < 0)
      await markFinished(host.client, claim, wanted).catch((error: Error) => {
        throw new Error(`mountVolume.NodeExpandVolume update PVC status failed : ${error.message}`);
      });
    return wanted;
  }
  const size = allocatedResources?.storage ?? "0";
  const isInfeasible = compareQuantities(claim.spec?.resources?.requests?.storage ?? "0", size) !== 0;
  const failsForGood = isInfeasible && memory.failed.has(unique);
  const isShown = compareQuantities(shown, size) >= 0 && !state;
  const isShared = claim.spec?.accessModes?.includes("ReadWriteMany") ?? false;
  const mayRunHere = isShared && claim.metadata.annotations?.[notRequired] === undefined;
  if (isShown ? !mayRunHere : state !== "NodeResizePending" && state !== "NodeResizeInProgress")
    return isShown ? size : known;
  const marked = isShown
    ? claim
    : await patchStatus(host.client, claim, { allocatedResourceStatuses: { storage: "NodeResizeInProgress" } });
  try {
    await askDriver(tools, expansion, size);
  } catch (error) {
    if (error instanceof NotSupportedError && isShown) return size;
    if (!(error instanceof NotRegisteredError)) {
      memory.failed.add(unique);
      await markFailed(host.client, marked, {
        why: (error as Error).message, // thrown below
        isInfeasible: isInfeasibleError(error) || failsForGood,
        now: host.clock.now(),
      }).catch((failed: unknown) =>
        host.log.warn("a failed expansion could not be told", { claim: name, error: failed }),
      );
    }
    if (!isInUse(error)) throw error;
    memory.inUse.add(unique);
    return known;
  }
  memory.failed.delete(unique);
  tell("Normal", "FileSystemResizeSuccessful", done);
  if (!isShown)
    await markFinished(host.client, marked, size).catch((error: Error) => {
      throw new Error(`mountVolume.NodeExpandVolume update pvc status failed: ${error.message}`);
    });
  return size;
}

const notRequired = "volume.kubernetes.io/node-expansion-not-required";
const codeOf = (error: unknown): string => {
  const { cause } = error as { cause?: unknown };
  return cause instanceof PluginError ? cause.code : "";
};
const isInUse = (error: unknown): boolean => codeOf(error) === "FailedPrecondition";
const isInfeasibleError = (error: unknown): boolean => /^(InvalidArgument|OutOfRange|NotFound)$/.test(codeOf(error));

async function askDriver(
  { drivers, secret }: ExpansionTools,
  { persistent, mode, path, stagingPath }: Expansion,
  size: string,
): Promise<void> {
  const { csi, accessModes, mountOptions } = persistent.spec ?? {};
  const { driver: name = "", volumeHandle = "", fsType, nodeExpandSecretRef } = csi ?? {};
  await drivers.with(name, "", async (driver) => {
    if (!(await supportsExpansion(driver)))
      throw new NotSupportedError(`NodeExpand is not supported by the CSI driver ${name}`);
    const secrets = await secret(
      nodeExpandSecretRef,
      (which) => `expander.NodeExpand failed to get NodeExpandSecretRef ${which}: `,
    );
    const capability = await volumeCapability(driver, { mode, accessModes, fsType, mountFlags: mountOptions });
    await driver
      .call("NodeExpandVolume", {
        volumeId: volumeHandle,
        volumePath: path,
        stagingTargetPath: stagingPath,
        capacityRange: { requiredBytes: quantityValue(size) },
        volumeCapability: capability,
        secrets,
      })
      .catch((error: Error) => {
        const colon = isInfeasibleError({ cause: error }) ? "" : " :";
        throw new Error(`Expander.NodeExpand failed to expand the volume${colon} ${error.message}`, { cause: error });
      });
  });
}

const supportsExpansion = (driver: DriverCall): Promise<boolean> =>
  driver.supports("EXPAND_VOLUME").catch((error: Error) => {
    throw new Error(`Expander.NodeExpand failed to check if node supports expansion : ${error.message}`, {
      cause: error,
    });
  });

const ofResizing = new Set(["FileSystemResizePending", "Resizing", "ControllerResizeError", "NodeResizeError"]);

async function patchStatus(client: Client, { metadata }: Claim, status: object, checked = true): Promise<Claim> {
  const { name = "", namespace = "", resourceVersion } = metadata;
  const body = { ...(checked ? { metadata: { resourceVersion } } : {}), status };
  return client
    .resource("v1/persistentvolumeclaims", namespace)
    .patch(name, body, { type: "merge", subresource: "status" })
    .catch((error: Error) => {
      throw new Error(`patchPVCStatus failed to patch PVC ${JSON.stringify(name)}: ${error.message}`);
    });
}

async function markFinished(client: Client, claim: Claim, size: string): Promise<void> {
  const others = Object.keys(claim.status?.allocatedResourceStatuses ?? {}).filter((each) => each !== "storage");
  await patchStatus(client, claim, {
    capacity: { storage: size },
    allocatedResourceStatuses: others.length > 0 ? { storage: null } : null,
    conditions: (claim.status?.conditions ?? []).filter(({ type }) => !ofResizing.has(type)),
  });
}

async function markFailed(
  client: Client,
  claim: Claim,
  { why, isInfeasible, now }: { why: string; isInfeasible: boolean; now: number },
): Promise<void> {
  const { conditions = [] } = claim.status ?? {};
  const message = `failed to expand pvc with ${why}`;
  const fresh = { type: "NodeResizeError", status: "True", lastTransitionTime: formatTime(now), message };
  const isThere = conditions.some(({ type, status }) => type === fresh.type && status === fresh.status);
  const others = conditions.filter(({ type }) => type !== fresh.type);
  await patchStatus(
    client,
    claim,
    {
      ...(isThere ? {} : { conditions: [...others, fresh] }),
      ...(isInfeasible ? { allocatedResourceStatuses: { storage: "NodeResizeInfeasible" } } : {}),
    },
    false,
  );
}
