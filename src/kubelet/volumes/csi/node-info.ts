/**
 * What the cluster knows of a node's CSI drivers: its CSINode, and on the Node the annotation with their names for it and the labels of
 * their topology. Follows upstream's node info manager. What is written is decided by pure functions; a conflict is tried again.
 */
import type { CSINode, CSINodeDriver, Node } from "#api";
import { backoffMs, type Clock } from "#base";
import { type Client, delay } from "#client";
import { type DeepReadonly, isStatusError } from "#machinery";
import { same } from "../../pods/status-patch.ts";
import type { StringMap } from "./driver-call.ts";

export const nodeIdAnnotation = "csi.volume.kubernetes.io/nodeid";
const migratedAnnotation = "storage.alpha.kubernetes.io/migrated-plugins";
/** Volumes of these old plugins are served by drivers. */
const migrated = "aws-ebs azure-disk azure-file cinder gce-pd portworx-volume vsphere-volume"
  .split(" ")
  .map((name) => `kubernetes.io/${name}`)
  .join(",");
const int32Max = 2 ** 31 - 1;
const retry = { initialMs: 10, maxMs: 1_250, factor: 5, jitter: 0.1 };
const triesMax = 4;

export interface DriverNodeInfo {
  readonly nodeId: string;
  /** 0: no limit. */
  readonly maxVolumesPerNode?: number;
  readonly accessibleTopology?: { readonly segments?: StringMap };
}

export interface NodeInfo {
  /** The CSINode exists, also when there is no driver. */
  initialize(): Promise<void>;
  /** Rejects with the text that the driver is told. */
  install(driver: string, info: DriverNodeInfo): Promise<void>;
  /** Its limit may have changed. */
  update(driver: string, info: DriverNodeInfo): Promise<void>;
  uninstall(driver: string): Promise<void>;
}

/** The list of drivers with this one put last; undefined: it is as it should be. */
export function withDriverInfo(
  drivers: readonly DeepReadonly<CSINodeDriver>[],
  name: string,
  { nodeId, maxVolumesPerNode = 0, accessibleTopology }: DriverNodeInfo,
): DeepReadonly<CSINodeDriver>[] | undefined {
  const topologyKeys = Object.keys(accessibleTopology?.segments ?? {}).sort();
  const count = maxVolumesPerNode > 0 ? Math.min(maxVolumesPerNode, int32Max) : undefined;
  const old = drivers.find((each) => each.name === name);
  const isSame =
    old?.nodeID === nodeId &&
    same([...(old.topologyKeys ?? [])].sort(), topologyKeys) &&
    old.allocatable?.count === count;
  if (isSame) return undefined;
  const allocatable = count === undefined ? {} : { allocatable: { count } };
  const fresh: CSINodeDriver = {
    name,
    nodeID: nodeId,
    ...(topologyKeys.length ? { topologyKeys } : {}),
    ...allocatable,
  };
  return [...drivers.filter((each) => each.name !== name), fresh];
}

/** A merge patch of the Node; undefined: nothing to write. Throws what upstream says of a topology that contradicts the node. */
export function nodePatch(
  { metadata }: DeepReadonly<Node>,
  driver: string,
  info: DriverNodeInfo | undefined,
): object | undefined {
  const text = metadata.annotations?.[nodeIdAnnotation];
  const ids = new Map(text ? Object.entries(JSON.parse(text) as StringMap) : []); // written by kubelets
  const known = ids.get(driver);
  if (info) ids.set(driver, info.nodeId);
  else ids.delete(driver);
  const labels: Record<string, string> = {};
  for (const [key, value] of Object.entries(info?.accessibleTopology?.segments ?? {})) {
    const found = metadata.labels?.[key];
    if (found === value) continue;
    if (found !== undefined) {
      const pair = (of: string) => `${JSON.stringify(key)}:${JSON.stringify(of)}`;
      throw new Error(
        `detected topology value collision: driver reported ${pair(value)} but existing label is ${pair(found)}`,
      );
    }
    labels[key] = value;
  }
  if (known === info?.nodeId && Object.keys(labels).length === 0) return undefined;
  const sorted = Object.fromEntries([...ids].sort(([a], [b]) => (a < b ? -1 : 1)));
  const value = ids.size > 0 ? JSON.stringify(sorted) : null;
  return {
    metadata: { resourceVersion: metadata.resourceVersion, annotations: { [nodeIdAnnotation]: value }, labels },
  };
}

export function createNodeInfo(options: {
  client: Client;
  clock: Clock;
  nodeName: string;
  signal: AbortSignal;
}): NodeInfo {
  const { client, clock, nodeName, signal } = options;
  const nodes = client.resource("v1/nodes");
  const csiNodes = client.resource("storage.k8s.io/v1/csinodes");

  async function again(work: () => Promise<void>): Promise<void> {
    for (let tries = 1; ; tries++)
      try {
        return await work();
      } catch (error) {
        if (tries === triesMax || signal.aborted) throw error;
        await delay(clock, backoffMs(tries, retry), signal);
      }
  }

  /** The CSINode of this node, made when there is none or one of an earlier node of that name. */
  async function own(): Promise<DeepReadonly<CSINode>> {
    const node = await nodes.get(nodeName);
    const { uid = "" } = node.metadata;
    const found = await unlessMissing(csiNodes.get(nodeName));
    const isOwned = found?.metadata.ownerReferences?.some((each) => each.kind === "Node" && each.uid === uid);
    if (found && isOwned) return found;
    if (found) await unlessMissing(csiNodes.delete(nodeName));
    return csiNodes.create({
      apiVersion: "storage.k8s.io/v1",
      kind: "CSINode",
      metadata: {
        name: nodeName,
        annotations: { [migratedAnnotation]: migrated },
        ownerReferences: [{ apiVersion: "v1", kind: "Node", name: nodeName, uid }],
      },
      spec: { drivers: [] },
    });
  }

  async function writeDrivers(
    { metadata }: DeepReadonly<CSINode>,
    drivers: readonly DeepReadonly<CSINodeDriver>[] | undefined,
  ): Promise<void> {
    if (!drivers && metadata.annotations?.[migratedAnnotation] === migrated) return;
    await csiNodes.patch(
      nodeName,
      {
        metadata: { resourceVersion: metadata.resourceVersion, annotations: { [migratedAnnotation]: migrated } },
        ...(drivers ? { spec: { drivers } } : {}),
      },
      { type: "merge" },
    );
  }

  const writeNode = (driver: string, info: DriverNodeInfo | undefined) =>
    again(async () => {
      const patch = nodePatch(await nodes.get(nodeName), driver, info);
      if (patch) await nodes.patch(nodeName, patch, { type: "merge" });
    });
  const update = (driver: string, info: DriverNodeInfo) =>
    again(async () => {
      const found = await own();
      await writeDrivers(found, withDriverInfo(driversOf(found), driver, info));
    });

  // One after the other: they write the same objects.
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = (what: string, work: () => Promise<void>): Promise<void> => {
    const next = turn.then(work).catch((error: unknown) => {
      throw new Error(`${what}${error instanceof Error ? error.message : error}`, { cause: error });
    });
    turn = next.catch(() => undefined); // whoever asked is told
    return next;
  };
  const onNode = "error updating Node object with CSI driver node info: error updating node: ";
  const onCsiNode = "error updating CSINode object with CSI driver node info: error updating CSINode: ";
  return {
    initialize: () =>
      inTurn("failed to initialize CSINode: ", () => again(async () => writeDrivers(await own(), undefined))),
    async install(driver, info) {
      if (!info.nodeId) throw new Error("error adding CSI driver node info: driverNodeID must not be empty");
      await inTurn(onNode, () => writeNode(driver, info));
      await inTurn(onCsiNode, () => update(driver, info));
    },
    update: (driver, info) => inTurn(onCsiNode, () => update(driver, info)),
    async uninstall(driver) {
      await inTurn("error uninstalling CSI driver from CSINode object ", () =>
        again(async () => {
          const found = await unlessMissing(csiNodes.get(nodeName));
          const all = driversOf(found);
          const left = all.filter(({ name }) => name !== driver);
          if (found && left.length < all.length) await writeDrivers(found, left);
        }),
      );
      await inTurn("error removing CSI driver node info from Node object ", () => writeNode(driver, undefined));
    },
  };
}

/** None are shown as null. */
const driversOf = (found: DeepReadonly<CSINode> | undefined): readonly DeepReadonly<CSINodeDriver>[] =>
  found?.spec.drivers ?? [];

const unlessMissing = <T>(work: Promise<T>): Promise<T | undefined> =>
  work.catch((error: unknown) => {
    if (isStatusError(error, "NotFound")) return undefined;
    throw error;
  });
