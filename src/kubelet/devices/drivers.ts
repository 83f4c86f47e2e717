/**
 * The drivers of devices that are registered on this node, newest last: two of a driver during an update. Slices of a driver that nobody
 * can reach for half a minute are deleted, so that no more pods come for its devices.
 */
import type { Clock, Logger } from "#base";
import type { Client } from "#client";
import { isStatusError } from "#machinery";
import { connectPlugin, type PluginConnection } from "../plugins/plugin-protocol.ts";
import type { PluginHandler, PluginInfo } from "../plugins/registry.ts";

/** What kubelet speaks, the better first. */
const services = ["v1", "v1beta1"].map((version) => ({
  name: `${version}.DRAPlugin`,
  service: `k8s.io.kubelet.pkg.apis.dra.${version}.DRAPlugin`,
}));
const callMs = 45_000;
const wipingDelayMs = 30_000;
const healthRetryMs = 5_000;
const healthService = "v1alpha1.DRAResourceHealth";

export interface DeviceHealth {
  readonly device: { readonly poolName: string; readonly deviceName: string };
  readonly health: "HEALTHY" | "UNHEALTHY" | "UNKNOWN";
  readonly healthCheckTimeoutSeconds: number;
  readonly message: string;
}

export interface Driver {
  readonly name: string;
  call<T>(method: "NodePrepareResources" | "NodeUnprepareResources", message: object): Promise<T>;
}

interface Instance extends Driver {
  readonly endpoint: string;
  readonly connection: PluginConnection;
  readonly stopped: AbortController;
  isConnected: boolean;
}

export interface DriversOptions {
  readonly client: Client;
  readonly nodeName: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly wipingDelayMs?: number;
  /** Devices of a driver told how they are; undefined: nobody tells any more. */
  onHealth(driver: string, devices: readonly DeviceHealth[] | undefined): void;
  /** A driver came: pods may wait for it. */
  onRegistered(driver: string): void;
}

export class Drivers implements PluginHandler {
  readonly #options: DriversOptions;
  readonly #instances = new Map<string, Instance[]>();
  readonly #wipes = new Map<string, () => void>();

  constructor(options: DriversOptions) {
    this.#options = options;
  }

  /** Rejects when it isn't registered. */
  get(name: string): Driver {
    const instances = this.#instances.get(name) ?? [];
    const found = instances.findLast(({ isConnected }) => isConnected) ?? instances.at(-1);
    if (!found) throw new Error(`DRA driver ${name} is not registered`);
    return found;
  }

  #service(versions: readonly string[]): string | undefined {
    for (const version of versions) {
      const found = services.find(({ name }) => name === version);
      if (found) return found.service;
    }
    return undefined;
  }

  validate({ name, endpoint, supportedVersions }: PluginInfo): string | undefined {
    const what = `invalid supported gRPC versions of DRA driver plugin ${name} at endpoint ${endpoint}`;
    if (supportedVersions.length === 0)
      return `${what}: empty list of supported gRPC services (aka supported versions)`;
    if (this.#service(supportedVersions) !== undefined) return undefined;
    const print = (names: readonly string[]) => `[${names.map((each) => JSON.stringify(each)).join(" ")}]`;
    const known = print(services.map(({ name: each }) => each));
    return `${what}: none of services supported by the plugin (${print(supportedVersions)}) are supported by the kubelet (${known})`;
  }

  async register({ name, endpoint, supportedVersions }: PluginInfo): Promise<void> {
    const service = this.#service(supportedVersions) ?? "";
    const instances = this.#instances.get(name) ?? [];
    if (instances.some((each) => each.endpoint === endpoint))
      throw new Error(`endpoint ${endpoint} already registered for DRA driver plugin ${name}`);
    const connection = await connectPlugin(endpoint);
    const instance: Instance = {
      name,
      endpoint,
      connection,
      stopped: new AbortController(),
      isConnected: false,
      call: (method, message) => connection.call(service, method, message, callMs),
    };
    this.#instances.set(name, [...instances, instance]);
    connection.onState((isConnected) => {
      instance.isConnected = isConnected;
      this.#wipeOrNot(name);
    });
    this.#wipeOrNot(name);
    void this.#followHealth(instance);
    this.#options.onRegistered(name);
  }

  deregister({ name, endpoint }: PluginInfo): void {
    const instances = this.#instances.get(name) ?? [];
    const gone = instances.find((each) => each.endpoint === endpoint);
    if (!gone) return;
    const left = instances.filter((each) => each !== gone);
    if (left.length > 0) this.#instances.set(name, left);
    else this.#instances.delete(name);
    gone.stopped.abort();
    gone.connection.close();
    this.#wipeOrNot(name);
  }

  /** After a start nobody knows which drivers still exist: each writes its slices when it registers. */
  async wipeAll(): Promise<void> {
    await this.#wipe(undefined);
  }

  close(): void {
    for (const cancel of this.#wipes.values()) cancel();
    for (const instances of this.#instances.values())
      for (const { stopped, connection } of instances) {
        stopped.abort();
        connection.close();
      }
    this.#instances.clear();
  }

  #wipeOrNot(name: string): void {
    const isUsable = this.#instances.get(name)?.some(({ isConnected }) => isConnected) ?? false;
    const cancel = this.#wipes.get(name);
    if (isUsable) {
      cancel?.();
      this.#wipes.delete(name);
    } else if (!cancel) {
      const { clock } = this.#options;
      const wipe = () => {
        this.#wipes.delete(name);
        void this.#wipe(name);
      };
      this.#wipes.set(name, clock.after(this.#options.wipingDelayMs ?? wipingDelayMs, wipe));
    }
  }

  async #wipe(driver: string | undefined): Promise<void> {
    const { client, nodeName, log } = this.#options;
    const fieldSelector = `spec.nodeName=${nodeName}${driver === undefined ? "" : `,spec.driver=${driver}`}`;
    try {
      await client.resource("resource.k8s.io/v1/resourceslices").deleteCollection({}, { fieldSelector });
    } catch (error) {
      if (!isStatusError(error, "NotFound"))
        log.warn("slices of drivers that are gone could not be deleted", { driver, error });
    }
  }

  /** A driver without that service is asked again and again, as upstream does: it may be replaced. */
  async #followHealth({ name, connection, stopped }: Instance): Promise<void> {
    const { clock, log, onHealth } = this.#options;
    while (!stopped.signal.aborted) {
      try {
        const answers = connection.stream<{ devices: readonly DeviceHealth[] }>(
          healthService,
          "NodeWatchResources",
          stopped.signal,
        );
        for await (const { devices } of answers) onHealth(name, devices);
      } catch (error) {
        log.debug("a driver tells nothing of its devices' health", { driver: name, error });
      }
      onHealth(name, undefined);
      if (stopped.signal.aborted) return;
      await new Promise<void>((resolve) => {
        const cancel = clock.after(healthRetryMs, resolve);
        stopped.signal.addEventListener(
          "abort",
          () => {
            cancel();
            resolve();
          },
          { once: true },
        );
      });
    }
  }
}
