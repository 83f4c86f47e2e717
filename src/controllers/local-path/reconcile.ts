/**
 * Volumes that are folders of a node, made for claims of the class `local-path`. A folder appears when the node mounts it first; its end is
 * asked for by an annotation of the node, which the node takes away when the folder is gone. So no node needs to see or write any volume
 * but its own pods'. Pure.
 */
import {
  localPathFolderAnnotation as folderAnnotation,
  localPathProvisionerName as provisionerName,
  localPathRemoveAnnotation as removeAnnotation,
  type Node,
  type PersistentVolume,
  type StorageClass,
} from "#api";
import { nodeCondition } from "../lib/nodes.ts";
import { isDeleting, nameOf, type Seen, uidOf } from "../lib/objects.ts";
import {
  betaStorageProvisioner,
  type Claim,
  classOf,
  provisionedBy,
  provisionerFinalizer,
  requestOf,
  selectedNode,
  storageProvisioner,
  type Volume,
} from "../lib/volumes.ts";

/** Of a volume: revision of the node that was asked to remove it. */
export const askedAnnotation = "sampan.dev/removal-asked";
const nodeAnnotation = "sampan.dev/local-path-node";

/** Of what file systems take. */
const nameLengthMax = 255;

/** As good as any, on nodes that keep nothing. */
const folderDefault = "/var/lib/sampan/local-path";

export const isOurs = ({ metadata }: Volume): boolean => metadata.annotations?.[provisionedBy] === provisionerName;
export const nodeOf = ({ metadata }: Volume): string => metadata.annotations?.[nodeAnnotation] ?? "";

export type Step = { readonly make: PersistentVolume } | { readonly failed: string } | undefined;

/** What becomes of a claim that no volume is bound to. */
export function provision(
  claim: Claim,
  storageClass: Seen<StorageClass> | undefined,
  { nodeNamed, anyNode }: { nodeNamed(name: string): Seen<Node> | undefined; anyNode(): Seen<Node> | undefined },
): Step {
  const { annotations = {}, uid, namespace, name } = claim.metadata;
  if ((annotations[storageProvisioner] ?? annotations[betaStorageProvisioner]) !== provisionerName) return undefined;
  if (claim.spec?.volumeName || isDeleting(claim) || storageClass?.provisioner !== provisionerName) return undefined;
  const selected = annotations[selectedNode];
  if (!selected && storageClass.volumeBindingMode === "WaitForFirstConsumer") return undefined;
  // A class that doesn't wait: the pods will have to come to where the volume is.
  const node = selected ? nodeNamed(selected) : anyNode();
  if (!node) return { failed: selected ? `node ${JSON.stringify(selected)} not found` : "no node is ready" };
  const nodeName = nameOf(node);
  if (claim.spec?.volumeMode === "Block")
    return { failed: "volumes of mode Block are not supported: a folder is no device" };
  if (claim.spec?.dataSource) return { failed: "data sources are not supported" };
  const volumeName = `pvc-${uid}`;
  const folder = node.metadata.annotations?.[folderAnnotation] ?? folderDefault;
  return {
    make: {
      apiVersion: "v1",
      kind: "PersistentVolume",
      metadata: {
        name: volumeName,
        annotations: { [provisionedBy]: provisionerName, [nodeAnnotation]: nodeName },
        finalizers: [provisionerFinalizer],
      },
      spec: {
        accessModes: [...(claim.spec?.accessModes ?? [])],
        capacity: { storage: requestOf(claim) },
        claimRef: {
          kind: "PersistentVolumeClaim",
          namespace,
          name,
          uid,
          apiVersion: "v1",
          resourceVersion: claim.metadata.resourceVersion,
        },
        local: { path: `${folder}/${`${volumeName}_${namespace}_${name}`.slice(0, nameLengthMax)}` },
        nodeAffinity: {
          required: {
            nodeSelectorTerms: [
              {
                matchExpressions: [
                  {
                    key: hostnameLabel,
                    operator: "In",
                    values: [node.metadata.labels?.[hostnameLabel] ?? nodeName],
                  },
                ],
              },
            ],
          },
        },
        persistentVolumeReclaimPolicy: storageClass.reclaimPolicy ?? "Delete",
        storageClassName: classOf(claim),
        volumeMode: "Filesystem",
        ...(storageClass.mountOptions?.length ? { mountOptions: [...storageClass.mountOptions] } : {}),
      },
    },
  };
}

/** The one with the fewest volumes, of those where pods can run. */
export function nodeForAny(nodes: readonly Seen<Node>[], volumesOn: (name: string) => number): Seen<Node> | undefined {
  const isFit = (node: Seen<Node>) =>
    !node.spec?.unschedulable && !isDeleting(node) && nodeCondition(node, "Ready")?.status === "True";
  const count = (node: Seen<Node>) => volumesOn(nameOf(node));
  return nodes.filter(isFit).sort((a, b) => count(a) - count(b))[0];
}

const hostnameLabel = "kubernetes.io/hostname";

/** What is next for a volume of ours that goes: `wait` until the node has removed the folder. */
export function removal(volume: Volume, node: Seen<Node> | undefined): "delete" | "ask" | "wait" | "free" | undefined {
  const isDelete = volume.spec?.persistentVolumeReclaimPolicy === "Delete";
  const phase = volume.status?.phase;
  if (!isDeleting(volume)) return isDelete && phase === "Released" ? "delete" : undefined;
  if (!volume.metadata.finalizers?.includes(provisionerFinalizer) || phase === "Bound") return undefined;
  // Whoever deletes a volume that is to be retained keeps its data.
  if (!isDelete) return "free";
  // What a lost node had is lost with it.
  if (node?.metadata.annotations?.[folderAnnotation] === undefined) return "free";
  if (node.metadata.annotations[removeAnnotation + nameOf(volume)] !== undefined) return "wait";
  const asked = volume.metadata.annotations?.[askedAnnotation];
  if (asked === undefined) return "ask";
  const [uid, revision = "0"] = asked.split("/");
  if (uid !== uidOf(node)) return "ask";
  return BigInt(node.metadata.resourceVersion ?? 0) > BigInt(revision) ? "free" : "wait";
}
