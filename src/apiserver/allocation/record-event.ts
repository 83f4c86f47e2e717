/** Events that the API server itself has to tell, of the sort that its repairs write. What was told lately isn't told again. */
import { randomBytes } from "node:crypto";
import type { Clock, Logger } from "#base";
import type { DeepReadonly, KubernetesObject } from "#machinery";
import type { RegistryCore } from "../registry/core.ts";
import { create } from "../registry/create.ts";
import { internalCall } from "../registry/internal-call.ts";
import { rfc3339 } from "../registry/rfc3339.ts";

/** Upstream's recorder takes those of the same story within this time for one. */
const sameMs = 6 * 60_000;
/** Stories kept to compare with. */
const storiesMax = 1_000;

export interface EventRecorderOptions {
  readonly core: RegistryCore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly hostname: string;
}

export interface RepairEvent {
  /** `ipallocator-repair-controller` */
  readonly controller: string;
  readonly regarding: DeepReadonly<KubernetesObject>;
  readonly reason: string;
  /** Absent: an event of the old sort, which has none. */
  readonly action?: string;
  readonly note: string;
}

export class RepairEvents {
  readonly #options: EventRecorderOptions;
  readonly #told = new Map<string, number>();

  constructor(options: EventRecorderOptions) {
    this.#options = options;
  }

  /** What can't be told is no reason to fail. */
  async record({ controller, regarding, reason, action, note }: RepairEvent): Promise<void> {
    const { core, clock, log, hostname } = this.#options;
    const { kind, apiVersion, metadata = {} } = regarding;
    const now = clock.now();
    const story = JSON.stringify([controller, metadata.uid, reason, note]);
    if (now - (this.#told.get(story) ?? Number.NEGATIVE_INFINITY) < sameMs) return;
    if (this.#told.size >= storiesMax) this.#told.clear();
    this.#told.set(story, now);
    const namespace = metadata.namespace ?? "default";
    const about = {
      kind,
      apiVersion,
      name: metadata.name,
      ...(metadata.namespace !== undefined && { namespace: metadata.namespace }),
      uid: metadata.uid,
      resourceVersion: metadata.resourceVersion,
    };
    const common = {
      metadata: { name: `${metadata.name}.${randomBytes(8).toString("hex")}`, namespace },
      reason,
      type: "Warning",
    };
    const old = action === undefined;
    const object = old
      ? {
          ...common,
          involvedObject: about,
          message: note,
          source: { component: controller },
          firstTimestamp: rfc3339(now),
          lastTimestamp: rfc3339(now),
          count: 1,
          reportingComponent: controller,
        }
      : {
          ...common,
          eventTime: new Date(now).toISOString().replace("Z", "000Z"),
          reportingController: controller,
          reportingInstance: `${controller}-${hostname}`,
          action,
          regarding: about,
          note,
        };
    const place = { group: old ? "" : "events.k8s.io", version: "v1", resource: "events", namespace, name: "" };
    try {
      await create(core, internalCall(core, { ...place, verb: "create", object, now }));
    } catch (error) {
      log.warn("an event could not be written", { reason, note, error });
    }
  }
}
