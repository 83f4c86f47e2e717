/** Events that the API server itself has to tell, of the sort that its repairs write. What was told lately isn't told again. */
import { randomBytes } from "node:crypto";
import type { Clock } from "#base";
import type { DeepReadonly, KubernetesObject } from "#machinery";
import type { RegistryCore } from "../registry/core.ts";
import { create } from "../registry/create.ts";
import { internalCall } from "../registry/internal-call.ts";

/** Upstream's recorder takes those of the same story within this time for one. */
const sameMs = 6 * 60_000;
/** Stories kept to compare with. */
const storiesMax = 1_000;

export interface EventRecorderOptions {
  readonly core: RegistryCore;
  readonly clock: Clock;
  readonly hostname: string;
}

export interface RepairEvent {
  /** `ipallocator-repair-controller` */
  readonly controller: string;
  readonly regarding: DeepReadonly<KubernetesObject>;
  readonly reason: string;
  readonly action: string;
  readonly note: string;
}

export class RepairEvents {
  readonly #options: EventRecorderOptions;
  readonly #told = new Map<string, number>();

  constructor(options: EventRecorderOptions) {
    this.#options = options;
  }

  async record({ controller, regarding, reason, action, note }: RepairEvent): Promise<void> {
    const { core, clock, hostname } = this.#options;
    const { kind, apiVersion, metadata = {} } = regarding;
    const now = clock.now();
    const story = JSON.stringify([controller, metadata.uid, reason, note]);
    if (now - (this.#told.get(story) ?? Number.NEGATIVE_INFINITY) < sameMs) return;
    if (this.#told.size >= storiesMax) this.#told.clear();
    this.#told.set(story, now);
    const namespace = metadata.namespace ?? "default";
    const object = {
      metadata: { name: `${metadata.name}.${randomBytes(8).toString("hex")}`, namespace },
      eventTime: new Date(now).toISOString().replace("Z", "000Z"),
      reportingController: controller,
      reportingInstance: `${controller}-${hostname}`,
      action,
      reason,
      regarding: {
        kind,
        apiVersion,
        name: metadata.name,
        namespace: metadata.namespace,
        uid: metadata.uid,
        resourceVersion: metadata.resourceVersion,
      },
      note,
      type: "Warning",
    };
    const place = { group: "events.k8s.io", version: "v1", resource: "events", namespace, name: "" };
    await create(core, internalCall(core, { ...place, verb: "create", object, now }));
  }
}
