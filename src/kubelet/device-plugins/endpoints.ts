/** The plugins of devices that are there: how they register, what they tell, how they are called, and when they are forgotten. */
import { join } from "node:path";
import { isExtendedResource } from "#api";
import type { Clock, Logger } from "#base";
import { connectPlugin, type PluginConnection, servePlugin } from "../plugins/plugin-protocol.ts";
import type { PluginHandler } from "../plugins/registry.ts";

export interface PluginDevice {
  readonly ID: string;
  readonly health: string;
  readonly topology?: { readonly nodes: readonly { readonly ID: number }[] };
}

export interface PluginOptions {
  readonly preStartRequired: boolean;
  readonly getPreferredAllocationAvailable: boolean;
}

export interface EndpointsOptions {
  /** Where `kubelet.sock` is. */
  readonly folder: string;
  readonly clock: Clock;
  readonly log: Logger;
  onDevices(resource: string, devices: readonly PluginDevice[]): void;
  /** It went; it may come back for a while. */
  onStopped(resource: string): void;
  /** It didn't. */
  onGone(resource: string): void;
}

interface Endpoint {
  readonly connection?: PluginConnection;
  readonly options?: PluginOptions;
  readonly watching: AbortController;
  stoppedAt: number | undefined;
}

const version = "v1beta1";
const registration = "v1beta1.Registration";
const service = "v1beta1.DevicePlugin";
const connectMs = 10_000;
/** A plugin that is being replaced comes back within this time; until then its resource stays. */
const graceMs = 5 * 60_000;

export class Endpoints {
  readonly #given: EndpointsOptions;
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #timers = new Set<() => void>();
  #stopServing: (() => Promise<void>) | undefined;

  constructor(given: EndpointsOptions) {
    this.#given = given;
  }

  /** Takes registrations. */
  async serve(): Promise<void> {
    const { folder } = this.#given;
    this.#stopServing = await servePlugin(join(folder, "kubelet.sock"), {
      [registration]: {
        Register: async (asked: { version: string; endpoint: string; resourceName: string }) => {
          const { resourceName } = asked;
          if (asked.version !== version)
            throw new Error(
              `requested API version ${JSON.stringify(asked.version)} is not supported by kubelet. Supported version is [${JSON.stringify(version)}]`,
            );
          if (!isExtendedResource(resourceName)) throw new Error(invalidName(resourceName));
          await this.#connect(resourceName, join(folder, asked.endpoint));
          return {};
        },
      },
    });
  }

  async close(): Promise<void> {
    for (const cancel of this.#timers) cancel();
    for (const endpoint of this.#endpoints.values()) disconnect(endpoint);
    await this.#stopServing?.();
  }

  /** Of plugins that register in the folder of all plugins. */
  readonly handler: PluginHandler = {
    validate: ({ name, supportedVersions }) => {
      if (!supportedVersions.includes(version))
        return `manager version, ${version}, is not among plugin supported versions [${supportedVersions.join(" ")}]`;
      return isExtendedResource(name) ? undefined : `invalid name of device plugin socket: ${invalidName(name)}`;
    },
    register: ({ name, endpoint }) => this.#connect(name, endpoint),
    deregister: ({ name }) => {
      const endpoint = this.#endpoints.get(name);
      if (endpoint) this.#stopped(name, endpoint);
    },
  };

  /** One that was there before this process: it may come back. */
  expect(resource: string): void {
    this.#endpoints.set(resource, { watching: new AbortController(), stoppedAt: this.#given.clock.now() });
    this.#forgetLater(resource);
  }

  optionsOf(resource: string): PluginOptions | undefined {
    return this.#endpoints.get(resource)?.options;
  }

  async call<T>(resource: string, method: string, message: object, timeoutMs: number): Promise<T> {
    const endpoint = this.#endpoints.get(resource);
    if (!endpoint) throw new Error(`unknown Device Plugin ${resource}`);
    if (!endpoint.connection || endpoint.stoppedAt !== undefined)
      throw new Error(`endpoint ${resource} has been stopped`);
    return endpoint.connection.call<T>(service, method, message, timeoutMs);
  }

  async #connect(resource: string, socket: string): Promise<void> {
    const connection = await connectPlugin(socket);
    let options: PluginOptions;
    try {
      options = await connection.call<PluginOptions>(service, "GetDevicePluginOptions", {}, connectMs);
    } catch (error) {
      connection.close();
      throw new Error(`failed to get device plugin options: ${(error as Error).message}`, { cause: error }); // calls fail with errors
    }
    const endpoint: Endpoint = { connection, options, watching: new AbortController(), stoppedAt: undefined };
    const before = this.#endpoints.get(resource);
    this.#endpoints.set(resource, endpoint);
    if (before) disconnect(before);
    void this.#follow(resource, endpoint, connection);
  }

  async #follow(resource: string, endpoint: Endpoint, connection: PluginConnection): Promise<void> {
    const { signal } = endpoint.watching;
    try {
      for await (const { devices } of connection.stream<{ devices: PluginDevice[] }>(service, "ListAndWatch", signal))
        if (this.#endpoints.get(resource) === endpoint) this.#given.onDevices(resource, devices);
    } catch (error) {
      this.#given.log.info("a device plugin doesn't tell of its devices any more", { resource, error });
    }
    if (this.#endpoints.get(resource) === endpoint) this.#stopped(resource, endpoint);
    else disconnect(endpoint);
  }

  #stopped(resource: string, endpoint: Endpoint): void {
    if (endpoint.stoppedAt !== undefined || endpoint.watching.signal.aborted) return;
    endpoint.stoppedAt = this.#given.clock.now();
    disconnect(endpoint);
    this.#forgetLater(resource);
    this.#given.onStopped(resource);
  }

  #forgetLater(resource: string): void {
    const { clock, onGone } = this.#given;
    const cancel = clock.after(graceMs + 1, () => {
      this.#timers.delete(cancel);
      const { stoppedAt } = this.#endpoints.get(resource) ?? {};
      if (stoppedAt === undefined || clock.now() - stoppedAt <= graceMs) return;
      this.#endpoints.delete(resource);
      onGone(resource);
    });
    this.#timers.add(cancel);
  }
}

function disconnect({ watching, connection }: Endpoint): void {
  watching.abort();
  connection?.close();
}

const invalidName = (name: string): string => `the ResourceName ${JSON.stringify(name)} is invalid`;
