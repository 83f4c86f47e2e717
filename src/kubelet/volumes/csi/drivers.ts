/** The CSI drivers that are registered on this node, and what the cluster is told of them. */
import type { CSIDriver } from "#api";
import type { Informer } from "#client";
import type { DeepReadonly } from "#machinery";
import type { PluginHandler, PluginInfo } from "../../plugins/registry.ts";
import type { VolumeHost } from "../plugin.ts";
import { type DriverCall, withDriver } from "./driver-call.ts";
import type { DriverNodeInfo, NodeInfo } from "./node-info.ts";

type Version = readonly number[];

/** The highest that the node speaks: 0.x is not, and of later ones nobody knows. Throws upstream's text. */
export function highestVersion(versions: readonly string[]): Version {
  const parsed = versions.flatMap((text) => {
    const parts = /^v?(\d+(?:\.\d+)+)/.exec(text)?.[1]?.split(".").map(Number);
    return parts && (parts[0] ?? 0) <= 1 ? [parts] : [];
  });
  const best = parsed.sort(compare).at(-1);
  if (!best) {
    const complaint = versions.some((text) => !/^v?\d/.test(text)) ? "could not parse" : "<nil>";
    throw new Error(
      `could not find a highest supported version from versions (${printList(versions)}) reported: ${complaint}`,
    );
  }
  if (best[0] !== 1) throw new Error(`highest supported version reported is ${best.join(".")}, must be v1.x`);
  return best;
}
const compare = (a: Version, b: Version): number => {
  for (let at = 0; at < Math.max(a.length, b.length); at++) if (a[at] !== b[at]) return (a[at] ?? 0) - (b[at] ?? 0);
  return 0;
};
const printList = (names: readonly string[]): string => `[${names.join(" ")}]`;
const quoted = (names: readonly string[]): string => `[${names.map((name) => JSON.stringify(name)).join(" ")}]`;

export class NotRegisteredError extends Error {
  override name = "NotRegisteredError";
}

interface Registered {
  readonly endpoint: string;
  readonly version: Version;
  /** Of what asks it for its limit from time to time. */
  cancelUpdate?: () => void;
}

export class CsiDrivers implements PluginHandler {
  readonly #host: VolumeHost;
  readonly #info: NodeInfo;
  readonly #known = new Map<string, Registered>();
  readonly #kinds: Informer<CSIDriver>;
  readonly #stopFollowing: () => void;

  constructor(host: VolumeHost, info: NodeInfo, onKind: () => void) {
    this.#host = host;
    this.#info = info;
    this.#kinds = host.informers.of("storage.k8s.io/v1/csidrivers");
    const period = (each: DeepReadonly<CSIDriver> | undefined) => each?.spec.nodeAllocatableUpdatePeriodSeconds;
    const follow = ({ metadata }: DeepReadonly<CSIDriver>) => {
      this.#keepUpdated(metadata.name ?? "");
      onKind();
    };
    this.#stopFollowing = this.#kinds.addHandler({
      added: follow,
      updated: (now, before) => (period(now) === period(before) ? undefined : follow(now)),
      deleted: follow,
    });
  }

  /** What its CSIDriver object says; undefined: there is none. */
  async kind(driver: string): Promise<DeepReadonly<CSIDriver>["spec"] | undefined> {
    await this.#kinds.synced();
    return this.#kinds.get(driver)?.spec;
  }

  /** By what is known now. */
  attaches(driver: string): boolean {
    return this.#kinds.get(driver)?.spec.attachRequired !== false;
  }

  /** Rejects with this text before upstream's when it isn't registered. */
  async with<T>(driver: string, prefix: string, work: (driver: DriverCall) => Promise<T>): Promise<T> {
    const found = this.#known.get(driver);
    if (!found)
      throw new NotRegisteredError(`${prefix}driver name ${driver} not found in the list of registered CSI drivers`);
    return withDriver(found.endpoint, this.#host.signal, work);
  }

  #check(caller: string, { name, supportedVersions }: PluginInfo): Version {
    const failed = `kubernetes.io/csi: ${caller} for CSI driver ${JSON.stringify(name)} failed. `;
    if (supportedVersions.length === 0)
      throw new Error(`${failed}Plugin returned an empty list for supported versions`);
    let version: Version;
    try {
      version = highestVersion(supportedVersions);
    } catch (error) {
      const why = (error as Error).message; // thrown above
      throw new Error(`${failed}None of the versions specified ${quoted(supportedVersions)} are supported. err=${why}`);
    }
    const known = this.#known.get(name)?.version;
    if (known && compare(known, version) >= 0)
      throw new Error(
        `${failed}Another driver with the same name is already registered with a higher supported version: ${JSON.stringify(known.join("."))}`,
      );
    return version;
  }

  validate(plugin: PluginInfo): string | undefined {
    try {
      this.#check("ValidatePlugin", plugin);
      return undefined;
    } catch (error) {
      const why = (error as Error).message; // thrown above
      return `validation failed for CSI Driver ${plugin.name} at endpoint ${plugin.endpoint}: ${why}`;
    }
  }

  async register(plugin: PluginInfo): Promise<void> {
    const { name, endpoint } = plugin;
    this.#known.set(name, { endpoint, version: this.#check("RegisterPlugin", plugin) });
    try {
      await this.#info.install(name, await this.#nodeInfo(name));
    } catch (error) {
      this.deregister(plugin);
      throw error;
    }
    this.#keepUpdated(name);
    // Pods may wait for it, to begin or to end.
    this.#host.onChange("all");
  }

  deregister({ name, endpoint }: PluginInfo): void {
    const known = this.#known.get(name);
    if (known?.endpoint !== endpoint) return;
    known.cancelUpdate?.();
    this.#known.delete(name);
    this.#info
      .uninstall(name)
      .catch((error: unknown) =>
        this.#host.log.warn("a CSI driver could not be unregistered", { driver: name, error }),
      );
  }

  #nodeInfo(name: string): Promise<DriverNodeInfo> {
    return this.with(name, "", (driver) => driver.call<DriverNodeInfo>("NodeGetInfo", {}));
  }

  /** Asks it for its limit now: it had no room for a volume. */
  async refresh(name: string): Promise<void> {
    await this.#info.update(name, await this.#nodeInfo(name));
  }

  /** How many volumes it can have changes with some; they say how often to ask. */
  #keepUpdated(name: string): void {
    const known = this.#known.get(name);
    known?.cancelUpdate?.();
    const seconds = this.#kinds.get(name)?.spec.nodeAllocatableUpdatePeriodSeconds;
    if (!known || !seconds || this.#host.signal.aborted) return;
    known.cancelUpdate = this.#host.clock.after(seconds * 1000, () => {
      void this.refresh(name)
        .catch((error: unknown) => this.#host.log.warn("a CSI driver's limit is not known", { driver: name, error }))
        .finally(() => {
          if (this.#known.get(name) === known) this.#keepUpdated(name);
        });
    });
  }

  close(): void {
    this.#stopFollowing();
    for (const { cancelUpdate } of this.#known.values()) cancelUpdate?.();
  }
}
