/**
 * Makes and removes the API services of what is served here: those of built-in versions once at the start (`bootstrap.ts` makes them),
 * those of custom resources as long as a definition has them. Objects that lack the label are somebody's own and stay as they are.
 * Follows kube-aggregator's autoregister controller and the control plane's crdregistration.
 */
import { backoffMs, type Clock, type Logger } from "#base";
import { isStatusError } from "#machinery";
import { localApiService, reconcileApiService } from "../api-services.ts";
import type { RegistryCore } from "../registry/core.ts";
import { create } from "../registry/create.ts";
import { remove } from "../registry/delete.ts";
import { internalCall } from "../registry/internal-call.ts";
import { update } from "../registry/update.ts";
import { type GroupVersion, printGroupVersion } from "../resource.ts";
import type { ApiServiceIndex } from "./api-service-index.ts";

const retry = { initialMs: 5, maxMs: 1_000_000 };
const at = { group: "apiregistration.k8s.io", version: "v1", resource: "apiservices", namespace: "" } as const;

export interface AutoregisterOptions {
  readonly core: RegistryCore;
  readonly index: ApiServiceIndex;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Autoregister {
  readonly #options: AutoregisterOptions;
  readonly #queue = new Set<string>();
  readonly #failures = new Map<string, number>();
  readonly #timers = new Set<() => void>();
  readonly #ends: (() => void)[] = [];
  #atStart: ReadonlySet<string> = new Set();
  #running = false;
  #closed = false;

  constructor(options: AutoregisterOptions) {
    this.#options = options;
  }

  /** When all definitions are served. */
  start(): void {
    const { core, index } = this.#options;
    this.#atStart = new Set([...index.all()].map(({ name }) => name));
    for (const name of this.#atStart) this.#queue.add(name);
    for (const { group, version, custom } of core.table.groupVersions())
      if (custom) this.#queue.add(`${version}.${group}`);
    this.#ends.push(
      index.listen((names) => {
        for (const name of names) this.#queue.add(name);
        this.#wake();
      }),
      core.table.listen(({ group, version }) => {
        this.#queue.add(`${version}.${group}`);
        this.#wake();
      }),
    );
    this.#wake();
  }

  close(): void {
    this.#closed = true;
    for (const end of [...this.#ends, ...this.#timers]) end();
    this.#timers.clear();
  }

  #wake(): void {
    if (this.#running || this.#closed) return;
    this.#running = true;
    void this.#drain().finally(() => {
      this.#running = false;
    });
  }

  async #drain(): Promise<void> {
    for (;;) {
      const [name] = this.#queue;
      if (name === undefined || this.#closed) return;
      this.#queue.delete(name);
      try {
        await this.#sync(name);
        this.#failures.delete(name);
      } catch (error) {
        // Somebody was faster: there will be an event.
        if (["AlreadyExists", "NotFound", "Conflict"].some((reason) => isStatusError(error, reason))) continue;
        if (this.#closed) return;
        this.#options.log.error("an API service could not be kept", { name, error });
        this.#later(name);
      }
    }
  }

  #later(name: string): void {
    const failures = (this.#failures.get(name) ?? 0) + 1;
    this.#failures.set(name, failures);
    const cancel = this.#options.clock.after(backoffMs(failures, retry), () => {
      this.#timers.delete(cancel);
      this.#queue.add(name);
      this.#wake();
    });
    this.#timers.add(cancel);
  }

  async #sync(name: string): Promise<void> {
    const { core, index, clock } = this.#options;
    const found = index.get(name);
    const wanted = this.#served(name);
    const now = clock.now();
    if (!found) {
      if (!wanted?.custom && !wanted?.replaceable) return;
      await create(core, internalCall(core, { ...at, verb: "create", name: "", object: localApiService(wanted), now }));
      return;
    }
    const { automanaged, uid } = found;
    const onStart = automanaged === "onstart";
    if (!onStart && automanaged !== "true") return;
    // Only what an earlier release of this server left behind.
    if (onStart && (wanted || !this.#atStart.has(name))) return;
    if (!wanted) {
      const object = { kind: "DeleteOptions", apiVersion: "v1", preconditions: { uid } };
      await remove(core, internalCall(core, { ...at, verb: "delete", name, object, now }));
      return;
    }
    const kind = core.table.stored(at.group, at.resource);
    const current = kind && (await core.storage.read(kind, name));
    if (!current) return;
    const plan = reconcileApiService(localApiService(wanted))(current.decoded());
    if (plan.type === "update")
      await update(core, internalCall(core, { ...at, verb: "update", name, object: plan.object, now }), "");
  }

  #served(name: string): GroupVersion | undefined {
    const dot = name.indexOf(".");
    return this.#options.core.table.version(printGroupVersion(name.slice(dot + 1), name.slice(0, dot)));
  }
}
