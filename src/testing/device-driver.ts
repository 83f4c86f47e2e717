/**
 * A driver of devices that don't exist, for tests of resource claims: registers with a node, offers its devices in a ResourceSlice, and for
 * each claim writes a CDI file that sets a variable in the containers that use it.
 */
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Device, ResourceSlice } from "#api";
import type { Client } from "#client";
import { servePlugin } from "#kubelet";

export interface DeviceDriverOptions {
  readonly name: string;
  readonly nodeName: string;
  /** The node's folder, in which `plugins_registry` is. */
  readonly nodeFolder: string;
  readonly cdiFolder: string;
  readonly client: Client;
  readonly devices: readonly Device[];
  /** What it speaks, the best first. */
  readonly versions?: readonly ("v1" | "v1beta1")[];
}

export interface DeviceDriver {
  /** `prepare NAME`, `unprepare NAME`, in order; and what the node said of its registration. */
  readonly calls: string[];
  /** Answered for claims instead of preparing them. */
  failure: string | undefined;
  /** Removes its sockets; its slices are left to the node. */
  stop(): Promise<void>;
}

interface Asked {
  readonly claims: readonly { readonly namespace: string; readonly uid: string; readonly name: string }[];
}

export async function startDeviceDriver(options: DeviceDriverOptions): Promise<DeviceDriver> {
  const { name, nodeName, nodeFolder, cdiFolder, client, devices, versions = ["v1", "v1beta1"] } = options;
  const calls: string[] = [];
  const registration = join(nodeFolder, "plugins_registry", `${name}-reg.sock`);
  const endpoint = join(nodeFolder, "plugins", name, "dra.sock");
  await Promise.all(
    [join(nodeFolder, "plugins_registry"), join(nodeFolder, "plugins", name), cdiFolder].map(makeFolder),
  );
  await Promise.all([registration, endpoint].map((path) => rm(path, { force: true })));
  const cdiFile = (uid: string) => join(cdiFolder, `${name}-${uid}.json`);
  const kind = `${name}/test`;

  const driver: DeviceDriver = {
    calls,
    failure: undefined,
    async stop() {
      for (const end of ends) await end();
      await Promise.all([registration, endpoint].map((path) => rm(path, { force: true })));
    },
  };

  async function prepareOne({ namespace, uid, name: claimName }: Asked["claims"][number]) {
    calls.push(`prepare ${claimName}`);
    if (driver.failure !== undefined) return { devices: [], error: driver.failure };
    const claim = await client.resource("resource.k8s.io/v1/resourceclaims", namespace).get(claimName);
    const own = (claim.status?.allocation?.devices?.results ?? []).filter((result) => result.driver === name);
    const specification = {
      cdiVersion: "0.3.0",
      kind,
      devices: own.map(({ request, device }) => ({
        name: `${uid}-${request.replace("/", "-")}-${device}`,
        containerEdits: { env: [`DEVICE_${request.replaceAll(/\W/g, "_")}=${device}`] },
      })),
    };
    await writeFile(cdiFile(uid), JSON.stringify(specification));
    return {
      devices: own.map(({ request, pool, device }, at) => ({
        requestNames: [request.split("/")[0]],
        poolName: pool,
        deviceName: device,
        cdiDeviceIds: [`${kind}=${specification.devices[at]?.name}`],
      })),
      error: "",
    };
  }

  async function forEach(
    { claims }: Asked,
    work: (claim: Asked["claims"][number]) => Promise<object>,
  ): Promise<{ claims: Record<string, object> }> {
    const answers = await Promise.all(claims.map(async (claim) => [claim.uid, await work(claim)] as const));
    return { claims: Object.fromEntries(answers) };
  }

  const service = {
    NodePrepareResources: (asked: Asked) => forEach(asked, prepareOne),
    NodeUnprepareResources: (asked: Asked) =>
      forEach(asked, async ({ uid, name: claimName }) => {
        calls.push(`unprepare ${claimName}`);
        await rm(cdiFile(uid), { force: true });
        return {};
      }),
  };
  const ends = [
    await servePlugin(
      endpoint,
      Object.fromEntries(versions.map((version) => [`k8s.io.kubelet.pkg.apis.dra.${version}.DRAPlugin`, service])),
    ),
  ];
  const slice: ResourceSlice = {
    apiVersion: "resource.k8s.io/v1",
    kind: "ResourceSlice",
    metadata: { generateName: `${nodeName}-${name}-` },
    spec: {
      driver: name,
      nodeName,
      pool: { name: nodeName, generation: 1, resourceSliceCount: 1 },
      devices: [...devices],
    },
  };
  ends.push(
    await servePlugin(registration, {
      "pluginregistration.Registration": {
        GetInfo: async () => ({
          type: "DRAPlugin",
          name,
          endpoint,
          supportedVersions: versions.map((version) => `${version}.DRAPlugin`),
        }),
        NotifyRegistrationStatus: async ({ pluginRegistered, error }: { pluginRegistered: boolean; error: string }) => {
          calls.push(pluginRegistered ? "registered" : `refused: ${error}`);
          if (pluginRegistered) await client.resource("resource.k8s.io/v1/resourceslices").create(slice);
          return {};
        },
      },
    }),
  );
  return driver;
}

const makeFolder = (path: string) => mkdir(path, { recursive: true });
