/** Which devices containers were given, kept in upstream's file (`kubelet_internal_checkpoint`), so that they survive this process. */
import { readFile, rename, writeFile } from "node:fs/promises";
import { messageCodec } from "../plugins/plugin-protocol.ts";
import { fnv32a, printGoList, printGoMap } from "../resources/go-checksum.ts";

/** What a plugin wants for a container, as it answers. */
export interface ContainerAnswer {
  readonly envs: Readonly<Record<string, string>>;
  readonly mounts: readonly { readonly containerPath: string; readonly hostPath: string; readonly readOnly: boolean }[];
  readonly devices: readonly {
    readonly containerPath: string;
    readonly hostPath: string;
    readonly permissions: string;
  }[];
  readonly annotations: Readonly<Record<string, string>>;
  readonly cdiDevices: readonly { readonly name: string }[];
}

export interface GivenDevices {
  readonly podUid: string;
  readonly container: string;
  readonly resource: string;
  /** By NUMA node; -1: none in particular. */
  readonly devices: Readonly<Record<string, readonly string[]>>;
  readonly answer: ContainerAnswer;
}

export interface DeviceCheckpoint {
  readonly given: readonly GivenDevices[];
  readonly registered: Readonly<Record<string, readonly string[]>>;
}

interface Entry {
  PodUID: string;
  ContainerName: string;
  ResourceName: string;
  DeviceIDs: Readonly<Record<string, readonly string[]>>;
  /** base64. */
  AllocResp: string;
}

interface FileData {
  PodDeviceEntries: Entry[] | null;
  RegisteredDevices: Readonly<Record<string, readonly string[]>> | null;
}

const answerType = "v1beta1.ContainerAllocateResponse";

/** Go sorts numbers as numbers. */
const printNodes = (devices: Entry["DeviceIDs"]): string =>
  `map[${Object.keys(devices)
    .sort((a, b) => Number(a) - Number(b))
    .map((node) => `${node}:${printGoList(devices[node] ?? [])}`)
    .join(" ")}]`;

function checksumOf({ PodDeviceEntries: entries, RegisteredDevices: registered }: FileData): number {
  const shown = entries
    ? `[${entries
        .map(
          ({ PodUID, ContainerName, ResourceName, DeviceIDs, AllocResp }) =>
            `{PodUID:(string)${PodUID} ContainerName:(string)${ContainerName} ResourceName:(string)${ResourceName} DeviceIDs:(checkpoint.DevicesPerNUMA)${printNodes(DeviceIDs)} AllocResp:([]uint8)${printGoList([...Buffer.from(AllocResp, "base64")])}}`,
        )
        .join(" ")}]`
    : "<nil>";
  const map = registered
    ? printGoMap(Object.entries(registered).map(([key, ids]) => [key, printGoList(ids)]))
    : "<nil>";
  return fnv32a(
    `(checkpoint.checkpointData){PodDeviceEntries:([]checkpoint.PodDevicesEntry)${shown} RegisteredDevices:(map[string][]string)${map}}`,
  );
}

/** Undefined: there is no file. Rejects when it is damaged. */
export async function readDeviceCheckpoint(file: string): Promise<DeviceCheckpoint | undefined> {
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  const { Data, Checksum } = JSON.parse(text) as { Data: FileData; Checksum: number };
  if (checksumOf(Data) !== Checksum) throw new Error(`checkpoint is corrupted: ${file}`);
  const codec = await messageCodec<ContainerAnswer>(answerType);
  return {
    given: (Data.PodDeviceEntries ?? []).map((entry) => ({
      podUid: entry.PodUID,
      container: entry.ContainerName,
      resource: entry.ResourceName,
      devices: entry.DeviceIDs,
      answer: codec.decode(Buffer.from(entry.AllocResp, "base64")),
    })),
    registered: Data.RegisteredDevices ?? {},
  };
}

export async function writeDeviceCheckpoint(file: string, { given, registered }: DeviceCheckpoint): Promise<void> {
  const codec = await messageCodec<ContainerAnswer>(answerType);
  const Data: FileData = {
    PodDeviceEntries: given.length
      ? given.map(({ podUid, container, resource, devices, answer }) => ({
          PodUID: podUid,
          ContainerName: container,
          ResourceName: resource,
          DeviceIDs: devices,
          AllocResp: codec.encode(answer).toString("base64"),
        }))
      : null,
    RegisteredDevices: registered,
  };
  await writeFile(`${file}.tmp`, JSON.stringify({ Data, Checksum: checksumOf(Data) }), { mode: 0o600 });
  await rename(`${file}.tmp`, file);
}
