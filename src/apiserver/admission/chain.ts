/**
 * Admission: plain functions that change or refuse a write after it was decoded and before it is stored. Mutating ones run first, in order;
 * then the strategy of the kind; then the validating ones.
 */
import type { RequestUser } from "#api";
import type { DeepReadonly, KubernetesObject } from "#machinery";
import type { RequestAudit } from "../audit/request-audit.ts";
import type { Resource, StoredKind } from "../resource.ts";

export type AdmissionOperation = "CREATE" | "UPDATE" | "DELETE" | "CONNECT";

export interface AdmissionRequest {
  readonly operation: AdmissionOperation;
  /** As in the URL; for subresources that take another kind (eviction, scale), `object` is of that kind. */
  readonly resource: Resource;
  readonly subresource: string;
  readonly namespace: string;
  /** "" while it is to be generated. */
  readonly name: string;
  readonly user: RequestUser;
  /** Of an update: whether it came as one or as a patch. */
  readonly verb?: string;
  readonly dryRun: boolean;
  readonly now: number;
  /** In the stored version. Mutating functions change it in place; undefined for DELETE and CONNECT. */
  readonly object: KubernetesObject | undefined;
  readonly old: DeepReadonly<KubernetesObject> | undefined;
  /** CreateOptions, UpdateOptions, DeleteOptions… as sent, for webhooks. */
  readonly options: object;
  /** Texts for Warning headers. */
  readonly warnings: string[];
  /** `annotate` puts what is worth knowing into the audit log, if there is one. */
  readonly audit?: RequestAudit | undefined;
  /** Told how long webhooks took. */
  readonly meter?: { webhooksMs: number } | undefined;
}

export interface AdmissionPlugin {
  readonly name: string;
  /** So that a request which concerns nobody costs nothing. */
  handles(request: Pick<AdmissionRequest, "operation" | "resource" | "subresource">): boolean;
  /** Throws a StatusError to refuse. */
  mutate?(request: AdmissionRequest, lookup: Lookup, round: Round): void | Promise<void>;
  validate?(request: AdmissionRequest, lookup: Lookup): void | Promise<void>;
}

/** One way of a write through the mutating plugins; a plugin whose change others must see asks for a second one. */
export interface Round {
  /** This is the second. */
  readonly again: boolean;
  wanted: boolean;
  /** What plugins keep from one to the next. */
  readonly notes: Map<string, unknown>;
}

/** Stored objects that admission needs to know. Answers are shared: read-only. */
export interface Lookup {
  kind(group: string, resource: string): StoredKind;
  /** With `waitMs`, one that isn't there yet may still come. */
  get<T extends KubernetesObject>(
    kind: StoredKind,
    namespace: string,
    name: string,
    waitMs?: number,
  ): Promise<DeepReadonly<T> | undefined>;
  /** `namespace` "": all. */
  list<T extends KubernetesObject>(kind: StoredKind, namespace: string): Promise<readonly DeepReadonly<T>[]>;
}

export class AdmissionChain {
  readonly #plugins: readonly AdmissionPlugin[];
  readonly #lookup: Lookup;
  readonly #observer: AdmissionObserver | undefined;

  constructor(plugins: readonly AdmissionPlugin[], lookup: Lookup, observer?: AdmissionObserver) {
    this.#plugins = plugins;
    this.#lookup = lookup;
    this.#observer = observer;
  }

  mutate(request: AdmissionRequest): Promise<void> {
    return this.#observed("", "admit", request, async () => {
      const round: Round = { again: false, wanted: false, notes: new Map() };
      await this.#mutateOnce(request, round);
      if (round.wanted) await this.#mutateOnce(request, { ...round, again: true });
    });
  }

  async #mutateOnce(request: AdmissionRequest, round: Round): Promise<void> {
    for (const plugin of this.#plugins) {
      if (!plugin.mutate || !plugin.handles(request)) continue;
      const wait = this.#observed(plugin.name, "admit", request, () => plugin.mutate?.(request, this.#lookup, round));
      if (wait) await wait;
    }
  }

  validate(request: AdmissionRequest): Promise<void> {
    return this.#observed("", "validate", request, async () => {
      for (const plugin of this.#plugins) {
        if (!plugin.validate || !plugin.handles(request)) continue;
        const wait = this.#observed(plugin.name, "validate", request, () => plugin.validate?.(request, this.#lookup));
        if (wait) await wait;
      }
    });
  }

  /** Tells how long it took and whether it refused. */
  #observed<R extends void | Promise<void>>(
    name: string,
    step: "admit" | "validate",
    request: AdmissionRequest,
    run: () => R,
  ): R {
    const observer = this.#observer;
    if (!observer) return run();
    const start = observer.precise();
    const done = (rejected: boolean) => {
      observer.ran(name, { step, operation: request.operation, elapsedMs: observer.precise() - start, rejected });
    };
    let result: R;
    try {
      result = run();
    } catch (error) {
      done(true);
      throw error;
    }
    if (result instanceof Promise) {
      result.then(
        () => done(false),
        () => done(true),
      );
    } else done(false);
    return result;
  }
}

/** Told of each plugin that ran, and with the name "" of all of a step. */
export interface AdmissionObserver {
  readonly precise: () => number;
  ran(
    name: string,
    run: {
      readonly step: "admit" | "validate";
      readonly operation: AdmissionOperation;
      readonly elapsedMs: number;
      readonly rejected: boolean;
    },
  ): void;
}
