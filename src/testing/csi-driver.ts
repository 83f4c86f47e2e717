/**
 * A CSI driver for tests: real gRPC on a Unix socket, registered as any other. Its volumes are folders and, for raw block, files under loop
 * devices; it can be told to fail, to hang, and dies and returns as programs do.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, open, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { servePlugin } from "#kubelet";

const runHere = async (program = "", ...args: string[]) => (await promisify(execFile)(program, args)).stdout;

type Method =
  | "NodeStageVolume"
  | "NodeUnstageVolume"
  | "NodePublishVolume"
  | "NodeUnpublishVolume"
  | "NodeExpandVolume"
  | "NodeGetInfo"
  | "NodeGetVolumeStats"
  | "NodeGetCapabilities";

/** Of messages to the node part of a driver, all that have it. */
export interface CsiRequest {
  readonly volumeId: string;
  readonly targetPath: string;
  readonly stagingTargetPath: string;
  readonly volumePath: string;
  readonly readonly: boolean;
  readonly secrets: Readonly<Record<string, string>>;
  readonly volumeContext: Readonly<Record<string, string>>;
  readonly publishContext: Readonly<Record<string, string>>;
  readonly capacityRange?: { readonly requiredBytes: number };
  readonly volumeCapability?: {
    readonly mount?: {
      readonly fsType: string;
      readonly mountFlags: readonly string[];
      readonly volumeMountGroup: string;
    };
    readonly block?: object;
    readonly accessMode: { readonly mode: string };
  };
}

export interface CsiDriverOptions {
  readonly name: string;
  readonly nodeName: string;
  /** The node's folder, in which `plugins_registry` is. */
  readonly nodeFolder: string;
  /** Where the volumes' contents are. */
  readonly dataFolder: string;
  /** What it can; staging, expanding and stats when missing. */
  readonly capabilities?: readonly string[];
  readonly versions?: readonly string[];
  readonly nodeInfo?: { readonly maxVolumesPerNode?: number; readonly segments?: Readonly<Record<string, string>> };
  /** False: it makes folders where others mount, for tests of the calls. */
  readonly mounts?: boolean;
  /** In the node's namespaces. */
  run?(...command: string[]): Promise<string>;
  onCall?(): void;
}

export interface CsiDriver {
  readonly calls: { readonly method: Method; readonly request: CsiRequest }[];
  /** What the node said of its registration. */
  readonly said: string[];
  /** Answered instead: an error's gRPC code and text, or nothing at all. */
  readonly failures: Map<Method, { readonly code: number; readonly message: string } | "hang">;
  maxVolumesPerNode: number;
  /** As after `kill -9`: its socket stays, as does the program beside it that registered it. */
  die(): Promise<void>;
  start(): Promise<void>;
  /** Dies and takes its sockets with it. */
  stop(): Promise<void>;
}

const blockBytes = 4 * 2 ** 20;

export async function startCsiDriver(options: CsiDriverOptions): Promise<CsiDriver> {
  const { name, nodeName, nodeFolder, dataFolder, versions = ["1.0.0"], mounts = true } = options;
  const {
    capabilities = ["STAGE_UNSTAGE_VOLUME", "EXPAND_VOLUME", "GET_VOLUME_STATS"],
    onCall,
    run = runHere,
  } = options;
  const registration = join(nodeFolder, "plugins_registry", `${name}-reg.sock`);
  const endpoint = join(nodeFolder, "plugins", name, "csi.sock");
  let endNode = async (): Promise<void> => undefined;
  let endRegistrar: (() => Promise<void>) | undefined;

  const driver: CsiDriver = {
    calls: [],
    said: [],
    failures: new Map(),
    maxVolumesPerNode: options.nodeInfo?.maxVolumesPerNode ?? 0,
    async die() {
      await endNode();
      // The library removes it; a killed program doesn't.
      await writeFile(endpoint, "", { flag: "a" });
    },
    async start() {
      await rm(endpoint, { force: true });
      endNode = await servePlugin(endpoint, { "csi.v1.Node": node });
      if (endRegistrar) return;
      await rm(registration, { force: true });
      endRegistrar = await servePlugin(registration, { "pluginregistration.Registration": register });
    },
    async stop() {
      await endNode();
      await endRegistrar?.();
      endRegistrar = undefined;
      await Promise.all([registration, endpoint].map((path) => rm(path, { force: true })));
    },
  };

  const contents = (request: CsiRequest) => join(dataFolder, request.volumeId.replaceAll("/", "~"));
  const mount = async (...args: string[]) => void (await run("mount", ...args));
  /** Asked twice it mounts once, as drivers have to. */
  async function bind(source: string, target: string): Promise<void> {
    const isMounted = await run("mountpoint", "-q", target).then(
      () => true,
      () => false,
    );
    if (!isMounted) await mount("--bind", source, target);
  }
  async function unmount(path: string): Promise<void> {
    await run("umount", path).catch(async (error: { stderr?: string }) => {
      if (existsSync(path) && !/not mounted/.test(error.stderr ?? "")) throw error;
    });
  }

  async function loopOf(file: string): Promise<string | undefined> {
    return (await run("losetup", "-j", file, "-n", "-O", "NAME")).trim().split("\n")[0] || undefined;
  }
  async function device(request: CsiRequest): Promise<string> {
    const file = `${contents(request)}.img`;
    const handle = await open(file, "a");
    await handle.truncate(Math.max((await handle.stat()).size, blockBytes));
    await handle.close();
    return (await loopOf(file)) ?? (await run("losetup", "-f", "--show", file)).trim();
  }

  async function stage(request: CsiRequest): Promise<void> {
    if (request.volumeCapability?.block) return void (await device(request));
    await mkdir(contents(request), { recursive: true });
    if (mounts) await bind(contents(request), request.stagingTargetPath);
  }
  async function publish(request: CsiRequest): Promise<void> {
    const { targetPath, stagingTargetPath, readonly: isReadOnly } = request;
    if (request.volumeCapability?.block) {
      await writeFile(targetPath, "", { flag: "a" });
      return bind(await device(request), targetPath);
    }
    await mkdir(contents(request), { recursive: true });
    await mkdir(targetPath, { recursive: true });
    if (!mounts) return;
    await bind(stagingTargetPath || contents(request), targetPath);
    if (isReadOnly) await mount("-o", "remount,bind,ro", targetPath);
  }
  async function unpublish({ targetPath }: CsiRequest): Promise<void> {
    if (mounts) await unmount(targetPath);
    await rm(targetPath, { recursive: true, force: true });
  }
  async function unstage(request: CsiRequest): Promise<void> {
    if (!mounts) return;
    const loop = await loopOf(`${contents(request)}.img`);
    if (loop) await run("losetup", "-d", loop);
    else await unmount(request.stagingTargetPath);
  }

  const answers: Readonly<Record<Method, (request: CsiRequest) => Promise<unknown>>> = {
    NodeStageVolume: stage,
    NodeUnstageVolume: unstage,
    NodePublishVolume: publish,
    NodeUnpublishVolume: unpublish,
    NodeExpandVolume: async ({ capacityRange }) => ({ capacityBytes: capacityRange?.requiredBytes ?? 0 }),
    NodeGetVolumeStats: async () => ({
      usage: [
        { unit: "BYTES", available: 60, total: 100, used: 40 },
        { unit: "INODES", available: 6, total: 10, used: 4 },
      ],
    }),
    NodeGetCapabilities: async () => ({ capabilities: capabilities.map((type) => ({ rpc: { type } })) }),
    NodeGetInfo: async () => ({
      nodeId: `${nodeName}-id`,
      maxVolumesPerNode: driver.maxVolumesPerNode,
      ...(options.nodeInfo?.segments ? { accessibleTopology: { segments: options.nodeInfo.segments } } : {}),
    }),
  };
  const node = Object.fromEntries(
    Object.entries(answers).map(([method, answer]) => [
      method,
      async (request: CsiRequest) => {
        driver.calls.push({ method: method as Method, request }); // a key of the table
        const failure = driver.failures.get(method as Method); // the same
        onCall?.();
        if (failure === "hang") await new Promise(() => undefined);
        else if (failure) throw Object.assign(new Error(failure.message), { code: failure.code });
        return ((await answer(request)) as object | undefined) ?? {}; // methods above answer those
      },
    ]),
  );
  const register = {
    GetInfo: async () => ({ type: "CSIPlugin", name, endpoint, supportedVersions: versions }),
    NotifyRegistrationStatus: async ({ pluginRegistered, error }: { pluginRegistered: boolean; error: string }) => {
      driver.said.push(pluginRegistered ? "registered" : error);
      onCall?.();
      return {};
    },
  };
  for (const path of [dirname(registration), dirname(endpoint), dataFolder]) await mkdir(path, { recursive: true });
  await driver.start();
  return driver;
}
