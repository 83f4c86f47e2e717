/** A device plugin of devices that don't exist, for tests: registers as plugins do, and each container that is given some sees it in a variable. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { connectPlugin, type PluginDevice, servePlugin } from "#kubelet";

export interface TestPlugin {
  /** What the node asked for, in order. */
  readonly calls: string[];
  /** Tells the node of other devices. */
  tell(devices: readonly PluginDevice[]): void;
  /** Goes away; what it tells the node is cut off. */
  stop(): Promise<void>;
}

export interface TestPluginOptions {
  readonly resource: string;
  readonly devices: readonly PluginDevice[];
  /** Of the node: `device-plugins` is below it. */
  readonly folder: string;
  readonly socket?: string;
  readonly preStart?: boolean;
  readonly preferred?: readonly string[];
  /** Registers in the folder of all plugins instead. */
  readonly watched?: boolean;
  readonly version?: string;
}

export async function startTestPlugin(options: TestPluginOptions): Promise<TestPlugin> {
  const { resource, folder, preStart = false, preferred, socket: name = "test.sock", version = "v1beta1" } = options;
  const calls: string[] = [];
  let devices = options.devices;
  let news = Promise.withResolvers<void>();
  let isStopped = false;
  const socket = join(folder, options.watched ? "plugins_registry" : "device-plugins", name);
  await rm(socket, { force: true });
  const variable = resource.toUpperCase().replaceAll(/\W/g, "_");
  const stop = await servePlugin(socket, {
    ...(options.watched
      ? {
          "pluginregistration.Registration": {
            GetInfo: async () => ({ type: "DevicePlugin", name: resource, endpoint: "", supportedVersions: [version] }),
            NotifyRegistrationStatus: async ({
              pluginRegistered,
              error,
            }: {
              pluginRegistered: boolean;
              error: string;
            }) => {
              calls.push(pluginRegistered ? "registered" : error);
              return {};
            },
          },
        }
      : {}),
    "v1beta1.DevicePlugin": {
      GetDevicePluginOptions: async () => ({
        preStartRequired: preStart,
        getPreferredAllocationAvailable: preferred !== undefined,
      }),
      async *ListAndWatch() {
        while (!isStopped) {
          const told = news.promise;
          yield { devices: [...devices] };
          await told;
        }
      },
      Allocate: async ({ containerRequests }: { containerRequests: { devicesIds: string[] }[] }) => {
        const ids = containerRequests[0]?.devicesIds ?? [];
        calls.push(`allocate ${ids}`);
        return {
          containerResponses: [
            {
              envs: { [variable]: ids.join(",") },
              mounts: [{ containerPath: "/from-plugin", hostPath: folder, readOnly: true }],
              devices: ids.map((id) => ({
                containerPath: `/dev/test-${id}`,
                hostPath: "/dev/null",
                permissions: "rw",
              })),
              annotations: { "plugin.example/devices": ids.join(",") },
            },
          ],
        };
      },
      GetPreferredAllocation: async () => ({ containerResponses: [{ deviceIDs: [...(preferred ?? [])] }] }),
      PreStartContainer: async ({ devicesIds }: { devicesIds: string[] }) => {
        calls.push(`start ${devicesIds}`);
        return {};
      },
    },
  });
  if (!options.watched) {
    const kubelet = await connectPlugin(join(folder, "device-plugins", "kubelet.sock"));
    const request = { version, endpoint: name, resourceName: resource };
    try {
      await kubelet.call("v1beta1.Registration", "Register", request, 5_000);
    } catch (error) {
      await stop();
      throw error;
    } finally {
      kubelet.close();
    }
  }
  const wake = () => {
    const { resolve } = news;
    news = Promise.withResolvers();
    resolve();
  };
  return {
    calls,
    tell(others) {
      devices = others;
      wake();
    },
    async stop() {
      isStopped = true;
      wake();
      await stop();
      await rm(socket, { force: true });
    },
  };
}
