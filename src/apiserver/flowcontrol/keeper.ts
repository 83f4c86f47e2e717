/**
 * Keeps flow control in step with its objects, and its objects in order: what every cluster has is made where it is missing and brought
 * up to date where nobody took it over, and each flow schema says whether its level exists. Follows upstream's apf_controller and
 * registry/flowcontrol/ensurer; instead of looking every minute it looks when an object changed.
 */
import type { FlowSchema, FlowSchemaCondition, PriorityLevelConfiguration } from "#api";
import type { Clock, Logger } from "#base";
import { type DeepReadonly, isStatusError, type KubernetesObject, semanticEqual, type Transport } from "#machinery";
import { follow } from "../cache/follow.ts";
import type { Storage } from "../registry/storage.ts";
import type { ResourceTable } from "../resource.ts";
import { apiVersion, autoUpdateAnnotation, bootstrapLevels, bootstrapSchemas } from "./bootstrap-objects.ts";
import type { FlowControl } from "./flow-control.ts";

/** Under which name upstream writes them. */
const producer = "api-priority-and-fairness-config-producer-v1";
const consumer = "api-priority-and-fairness-config-consumer-v1";
const retryMs = 1_000;
/** Two servers that disagree about a status would write forever. */
const statusWritesPerMinute = 6;
const quarrelMs = 60_000;

export interface KeeperOptions {
  readonly control: FlowControl;
  readonly storage: Storage;
  readonly table: ResourceTable;
  /** As the server itself. */
  readonly transport: Transport;
  readonly clock: Clock;
  readonly log: Logger;
}

type Plural = "flowschemas" | "prioritylevelconfigurations";
const plurals: readonly Plural[] = ["prioritylevelconfigurations", "flowschemas"];

interface BootstrapObject {
  readonly object: Specified;
  readonly mandatory: boolean;
}

type Specified = DeepReadonly<KubernetesObject> & { readonly spec?: unknown };

export class FlowKeeper {
  readonly #options: KeeperOptions;
  readonly #found: Record<Plural, Map<string, Specified>> = {
    flowschemas: new Map(),
    prioritylevelconfigurations: new Map(),
  };
  readonly #wanted: Readonly<Record<Plural, readonly BootstrapObject[]>> = {
    flowschemas: bootstrapSchemas(),
    prioritylevelconfigurations: bootstrapLevels(),
  };
  readonly #ends: (() => void)[] = [];
  /** When the status of a schema was written, of the last minute. */
  readonly #statusWrites = new Map<string, number[]>();
  #dirty = false;
  #running: Promise<void> | undefined;
  #retry: (() => void) | undefined;
  #started = false;
  #closed = false;

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** Resolves when the objects are there and in use; their status follows. */
  async start(): Promise<void> {
    const { storage, table, log } = this.#options;
    for (const plural of plurals) {
      const kind = table.stored("flowcontrol.apiserver.k8s.io", plural);
      if (!kind) return;
      const found = this.#found[plural];
      const end = await follow(
        { storage, kind, log },
        {
          reset(objects) {
            found.clear();
            for (const object of objects) found.set(object.name, object.decoded());
          },
          changed: (key, object) => void (object ? found.set(key, object.decoded()) : found.delete(key)),
          flush: () => this.#wake(),
        },
      );
      this.#ends.push(end);
    }
    await this.#ensure();
    this.#configure();
    this.#started = true;
    this.#wake();
  }

  close(): void {
    this.#closed = true;
    this.#retry?.();
    for (const end of this.#ends) end();
  }

  /** One round at a time; what comes during it is another. */
  #wake(): void {
    this.#dirty = true;
    if (this.#closed || !this.#started) return;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  async #run(): Promise<void> {
    // A burst of changes is one.
    await Promise.resolve();
    while (this.#dirty && !this.#closed) {
      this.#dirty = false;
      this.#configure();
      try {
        await this.#ensure();
        await this.#writeStatus();
      } catch (error) {
        this.#options.log.warn("flow control: will retry", { error });
        this.#later(retryMs);
      }
    }
  }

  #later(delayMs: number): void {
    this.#retry?.();
    this.#retry = this.#options.clock.after(delayMs, () => this.#wake());
  }

  #configure(): void {
    this.#options.control.configure({
      levels: [...this.#found.prioritylevelconfigurations.values()] as DeepReadonly<PriorityLevelConfiguration>[], // by the kind they were stored as
      schemas: [...this.#found.flowschemas.values()] as DeepReadonly<FlowSchema>[],
    });
  }

  async #ensure(): Promise<void> {
    for (const plural of plurals) {
      const wanted = this.#wanted[plural];
      await Promise.all(wanted.map((each) => this.#ensureOne(plural, each)));
      const names = new Set(wanted.map(({ object }) => object.metadata?.name));
      // Left over from another release.
      for (const [name, { metadata }] of this.#found[plural])
        if (!names.has(name) && metadata?.annotations?.[autoUpdateAnnotation] === "true")
          await this.#request("DELETE", plural, name);
    }
  }

  async #ensureOne(plural: Plural, { object, mandatory }: BootstrapObject): Promise<void> {
    const { name = "" } = object.metadata ?? {};
    const found = this.#found[plural].get(name);
    if (!found) return this.#request("POST", plural, "", object);
    const follows = mandatory || followsBootstrap(found);
    const changed = follows && !semanticEqual(object.spec, found.spec);
    const { annotations = {} } = found.metadata ?? {};
    if (!changed && booleanOf(annotations[autoUpdateAnnotation]) === follows) return;
    const metadata = { ...found.metadata, annotations: { ...annotations, [autoUpdateAnnotation]: String(follows) } };
    await this.#request("PUT", plural, name, { ...found, metadata, ...(changed && { spec: object.spec }) });
  }

  async #writeStatus(): Promise<void> {
    for (const schema of this.#found.flowschemas.values()) {
      const condition = danglingCondition(schema as DeepReadonly<FlowSchema>, this.#found.prioritylevelconfigurations); // of that kind
      if (!condition) continue;
      const { name = "" } = schema.metadata ?? {};
      if (this.#quarrels(name)) {
        this.#later(quarrelMs);
        continue;
      }
      const lastTransitionTime = new Date(this.#options.clock.now()).toISOString().replace(/\.\d+Z$/, "Z");
      const status = { conditions: [{ ...condition, lastTransitionTime }] };
      await this.#request("PATCH", plurals[1]!, `${name}/status`, {
        apiVersion,
        kind: "FlowSchema",
        metadata: { name },
        status,
      });
    }
  }

  #quarrels(name: string): boolean {
    const now = this.#options.clock.now();
    const recent = (this.#statusWrites.get(name) ?? []).filter((at) => now - at < quarrelMs);
    if (recent.length >= statusWritesPerMinute) return true;
    this.#statusWrites.set(name, [...recent, now]);
    return false;
  }

  /** Whoever was faster has sent an event, or will. */
  async #request(method: "POST" | "PUT" | "PATCH" | "DELETE", plural: Plural, name: string, body?: unknown) {
    const isPatch = method === "PATCH";
    try {
      await this.#options.transport.request({
        method,
        path: `/apis/${apiVersion}/${plural}${name && `/${name}`}`,
        query: { fieldManager: isPatch ? consumer : producer, ...(isPatch && { force: true }) },
        ...(isPatch && { contentType: "application/apply-patch+yaml" }),
        body,
      });
    } catch (error) {
      const expected = ["AlreadyExists", "Conflict", "NotFound"].some((reason) => isStatusError(error, reason));
      if (!expected) throw error;
    }
  }
}

const booleanOf = (text: string | undefined): boolean | undefined =>
  text === "true" ? true : text === "false" ? false : undefined;

/** Of a suggested object: its annotation says so, or nobody ever changed it. */
const followsBootstrap = ({ metadata }: Specified): boolean =>
  booleanOf(metadata?.annotations?.[autoUpdateAnnotation]) ?? metadata?.generation === 1;

/** Undefined: the status says it already. */
function danglingCondition(
  { spec, status }: DeepReadonly<FlowSchema>,
  levels: ReadonlyMap<string, unknown>,
): FlowSchemaCondition | undefined {
  const { name = "" } = spec?.priorityLevelConfiguration ?? {};
  const refers = `This FlowSchema references the PriorityLevelConfiguration object named ${JSON.stringify(name)}`;
  const wanted = levels.has(name)
    ? { status: "False", reason: "Found", message: `${refers} and it exists` }
    : { status: "True", reason: "NotFound", message: `${refers} but there is no such object` };
  const present = status?.conditions?.find(({ type }) => type === "Dangling");
  const same =
    present?.status === wanted.status && present.reason === wanted.reason && present.message === wanted.message;
  return same ? undefined : { type: "Dangling", ...wanted };
}
