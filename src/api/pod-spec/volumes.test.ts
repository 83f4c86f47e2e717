import { test } from "node:test";
import { assertRefused, vol, type Refused } from "./pod-trial.ts";

const refused: readonly Refused[] = [
  [
    "names",
    vol(
      { name: "", emptyDir: {} },
      { name: "A", emptyDir: {} },
      { name: "a", emptyDir: {} },
      { name: "a", emptyDir: {} },
    ),
    [
      "spec.volumes[0].name: Required value",
      'spec.volumes[1].name: Invalid value: "A": a lowercase RFC 1123 label …',
      'spec.volumes[3].name: Duplicate value: "a"',
    ],
  ],
  [
    "two sources",
    vol({ name: "a", emptyDir: {}, hostPath: { path: "/x" } }),
    ["spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"],
  ],
  [
    "empty dir",
    vol({ name: "a", emptyDir: { sizeLimit: "-1" } }),
    ["spec.volumes[0].emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity"],
  ],
  [
    "host path",
    vol({ name: "a", hostPath: { path: "" } }, { name: "b", hostPath: { path: "/a/../b", type: "Odd" } }),
    [
      "spec.volumes[0].hostPath.path: Required value",
      "spec.volumes[1].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
      'spec.volumes[1].hostPath.type: Unsupported value: "Odd": supported values: "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"',
    ],
  ],
  [
    "git repo",
    vol({ name: "a", gitRepo: { repository: "", directory: "/x" } }),
    [
      "spec.volumes[0].gitRepo.repository: Required value",
      'spec.volumes[0].gitRepo.directory: Invalid value: "/x": must be a relative path',
    ],
  ],
  [
    "nfs",
    vol({ name: "a", nfs: { server: "", path: "x" } }),
    [
      "spec.volumes[0].nfs.server: Required value",
      'spec.volumes[0].nfs.path: Invalid value: "x": must be an absolute path',
    ],
  ],
  [
    "claims",
    vol({ name: "a", persistentVolumeClaim: { claimName: "" } }),
    ["spec.volumes[0].persistentVolumeClaim.claimName: Required value"],
  ],
  [
    "iscsi",
    vol({ name: "a", iscsi: { targetPortal: "", iqn: "odd", lun: 300, chapAuthSession: true } }),
    [
      "spec.volumes[0].iscsi.targetPortal: Required value",
      'spec.volumes[0].iscsi.iqn: Invalid value: "odd": must be valid format starting with iqn, eui, or naa',
      "spec.volumes[0].iscsi.lun: Invalid value: 300: must be between 0 and 255, inclusive",
      "spec.volumes[0].iscsi.secretRef: Required value",
    ],
  ],
  [
    "disks of clouds",
    vol(
      { name: "a", gcePersistentDisk: { pdName: "", partition: 256 } },
      { name: "b", awsElasticBlockStore: { volumeID: "" } },
      { name: "d", azureDisk: { diskName: "", diskURI: "x", cachingMode: "Odd", kind: "Managed" } },
    ),
    [
      "spec.volumes[0].persistentDisk.pdName: Required value",
      "spec.volumes[0].persistentDisk.partition: Invalid value: 256: must be between 1 and 255, inclusive",
      "spec.volumes[1].awsElasticBlockStore.volumeID: Required value",
      "spec.volumes[2].azureDisk.diskName: Required value",
      'spec.volumes[2].azureDisk.cachingMode: Unsupported value: "Odd": supported values: "None", "ReadOnly", "ReadWrite"',
      'spec.volumes[2].azureDisk.diskURI: Unsupported value: "x": supported values: "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"',
    ],
  ],
  [
    "fibre channel",
    vol(
      { name: "a", fc: {} },
      { name: "b", fc: { targetWWNs: ["a"], wwids: ["b"] } },
      { name: "d", fc: { targetWWNs: ["a"], lun: 256 } },
    ),
    [
      "spec.volumes[0].fc.targetWWNs: Required value: must specify either targetWWNs or wwids, but not both",
      'spec.volumes[1].fc.targetWWNs: Invalid value: ["a"]: targetWWNs and wwids can not be specified simultaneously',
      "spec.volumes[1].fc.lun: Required value: lun is required if targetWWNs is specified",
      "spec.volumes[2].fc.lun: Invalid value: 256: must be between 0 and 255, inclusive",
    ],
  ],
  [
    "file systems of old",
    vol(
      { name: "a", cephfs: { monitors: [] } },
      { name: "b", rbd: { monitors: [], image: "" } },
      { name: "d", glusterfs: { endpoints: "", path: "" } },
      { name: "e", quobyte: { registry: "x", volume: "" } },
      { name: "f", flocker: {} },
      { name: "g", flexVolume: { driver: "", options: { "kubernetes.io/x": "y" } } },
    ),
    [
      "spec.volumes[0].cephfs.monitors: Required value",
      "spec.volumes[1].rbd.monitors: Required value",
      "spec.volumes[1].rbd.image: Required value",
      "spec.volumes[2].glusterfs.endpoints: Required value",
      "spec.volumes[2].glusterfs.path: Required value",
      'spec.volumes[3].quobyte.registry: Invalid value: "x": must be a host:port pair or multiple pairs separated by commas',
      "spec.volumes[3].quobyte.volume: Required value",
      "spec.volumes[4].flocker: Required value: one of datasetName and datasetUUID is required",
      "spec.volumes[5].flexVolume.driver: Required value",
      'spec.volumes[5].flexVolume.options[kubernetes.io/x]: Invalid value: "kubernetes.io/x": kubernetes.io and k8s.io namespaces are reserved',
    ],
  ],
  [
    "csi",
    vol({ name: "a", csi: { driver: "A b", nodePublishSecretRef: {} } }),
    [
      'spec.volumes[0].csi.driver: Invalid value: "A b": a lowercase RFC 1123 subdomain …',
      "spec.volumes[0].csi.nodePublishSecretRef.name: Required value",
    ],
  ],
  [
    "ephemeral",
    vol(
      { name: "a", ephemeral: {} },
      {
        name: "b",
        ephemeral: {
          volumeClaimTemplate: {
            metadata: { name: "x" },
            spec: { accessModes: ["Sometimes"], resources: { requests: { storage: "0" } } },
          },
        },
      },
    ),
    [
      "spec.volumes[0].ephemeral.volumeClaimTemplate: Required value",
      "spec.volumes[1].ephemeral.volumeClaimTemplate.metadata.name: Forbidden: cannot be set",
      'spec.volumes[1].ephemeral.volumeClaimTemplate.spec.accessModes: Unsupported value: "Sometimes": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"',
      'spec.volumes[1].ephemeral.volumeClaimTemplate.spec.resources[storage]: Invalid value: "0": must be greater than zero',
    ],
  ],
  [
    "image",
    vol({ name: "a", image: { reference: "", pullPolicy: "Odd" } }),
    [
      "spec.volumes[0].image.reference: Required value",
      'spec.volumes[0].image.pullPolicy: Unsupported value: "Odd": supported values: "Always", "IfNotPresent", "Never"',
    ],
  ],
];

test("volumes: what is refused, in upstream's words", () => {
  assertRefused(refused);
});
