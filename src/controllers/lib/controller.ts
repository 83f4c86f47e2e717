/**
 * What a controller is. A controller is a name, the account it acts as, and one or more loops. A loop says which informers it
 * watches and how their events become keys, and how one key is reconciled. Everything else (queue, retries with back-off,
 * waiting for caches, stopping) is the same for all and lives in run-loop.ts.
 *
 * Rules that every loop keeps: events only mark keys; `reconcile` reads caches, never lists from the server; it is level-triggered,
 * so running it once more does no harm; it throws to be run again later. What to do is decided by a pure function in the
 * controller's `reconcile.ts`, which knows neither client nor clock.
 */
import type { CertificateRequest } from "#api";
import type { Clock, Logger, MetricRegistry } from "#base";
import type { Client, EventRecorder, Informer, InformerHandler, InformerSet, WorkQueue } from "#client";

export interface ControllerOptions {
  /** Addresses of pods, one CIDR for each family; without it no node gets a pod CIDR. */
  readonly clusterCidrs?: readonly string[];
  /** Shares of nodes that had to know them before they registered, by the node's name; nobody else gets these. */
  readonly fixedPodCidrs?: ReadonlyMap<string, readonly string[]>;
  /** Addresses of Services, never given to nodes. */
  readonly serviceCidrs?: readonly string[];
  /** PEM of the authority that signs the API server's certificate, published to every namespace. */
  readonly rootCa?: string;
  /** Makes a token that lives in this Secret; without it such Secrets stay as they are. */
  readonly legacyToken?: (
    secret: { readonly namespace: string; readonly name: string },
    account: { readonly name: string; readonly uid: string },
  ) => string;
  /** Who signs requests for certificates, by the signer's name; others are left alone. */
  readonly signers?: ReadonlyMap<string, CertificateSigner>;
  /** How long a token that was made unasked may lie unused; a year by default. */
  readonly legacyTokenUnusedMs?: number;
  /** A node that renews neither lease nor status for this long is unknown. */
  readonly nodeMonitorGraceMs?: number;
  /** The same, of one that has not said how it is yet. */
  readonly nodeStartupGraceMs?: number;
  /** How fast pods are driven away from failed nodes. */
  readonly eviction?: EvictionPace;
  /** Bits of a node's share of the pod network. */
  readonly nodeMasks?: { readonly ipv4?: number | undefined; readonly ipv6?: number | undefined };
  /** Objects worked on at once, by the controller's name; what isn't here is as the controller says. */
  readonly workers?: ReadonlyMap<string, number>;
  /**
   * How long a namespace that is being deleted is left alone, so that every API server knows; 5 s by default, as upstream. With one
   * server nothing has to be waited for.
   */
  readonly namespaceDelayMs?: number;
  /** Feature gate StorageVersionMigrator. */
  readonly storageVersionMigration?: boolean;
  /** Of the horizontal pod autoscaler; what isn't said is as upstream. */
  readonly autoscaling?: AutoscalingOptions;
  /** Addresses for Services of type LoadBalancer, as CIDRs and `FIRST-LAST`; without any they get those of the nodes. */
  readonly loadBalancerPool?: readonly string[];
  /** Finished pods that may stay around, in all namespaces together. */
  readonly terminatedPodsMax?: number;
}

export interface EvictionPace {
  /** Nodes of one zone. */
  readonly perSecond: number;
  /** In a large zone of which most has failed; in a small one none. */
  readonly perSecondWhenMostFailed: number;
  readonly largeZoneNodes: number;
  readonly unhealthyShare: number;
}

export interface CertificateSigner {
  /** The longest life of what it signs. */
  readonly durationMs: number;
  /** When its own certificate ends, ms. */
  readonly validUntil: number;
  /** PEM. */
  sign(
    request: CertificateRequest,
    terms: { readonly usages: readonly string[]; readonly notBefore: number; readonly notAfter: number },
  ): string;
}

export interface AutoscalingOptions {
  readonly syncMs?: number;
  readonly downscaleStabilizationMs?: number;
  readonly tolerance?: number;
  readonly cpuInitializationMs?: number;
  readonly initialReadinessMs?: number;
  /** Feature gate HPAScaleToZero. */
  readonly scaleToZero?: boolean;
}

export interface ControllerContext {
  /** Acts as the controller's own account. */
  readonly client: Client;
  /** Shared by all controllers of the process. */
  readonly informers: InformerSet;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly log: Logger;
  readonly options: ControllerOptions;
  /** Where it counts; absent: nowhere. */
  readonly metrics?: MetricRegistry | undefined;
}

/** An informer and what its events mark. */
export interface Watch {
  synced(): Promise<void>;
  /** Answers how to stop. */
  start(): () => void;
}

export interface Loop {
  /** Which events mark which keys. Called once. */
  watches(queue: WorkQueue): readonly Watch[];
  /** Informers that `reconcile` reads without watching them. */
  readonly reads?: readonly Pick<Watch, "synced">[];
  /** Brings one object to where it should be. Never runs twice at once for the same key. */
  reconcile(key: string, queue: WorkQueue): Promise<void>;
  /** Keys reconciled at the same time; upstream's default is 5. */
  readonly workers?: number;
  /** Waits after failures, where upstream's differ from the usual 5 ms doubling to 1000 s. */
  readonly retryMs?: readonly [first: number, most: number];
  /** Work that no event starts: marks the first keys of a periodic loop. Runs after the caches are complete. */
  begin?(queue: WorkQueue, signal: AbortSignal): Promise<void> | void;
}

export interface Controller {
  /** As in kube-controller-manager's `--controllers`. */
  readonly name: string;
  /** Service account in kube-system: upstream's roles are bound to it. Undefined: acts as the controller manager itself. */
  readonly account: string | undefined;
  /** Only runs when it is asked for. */
  readonly isOptional?: boolean;
  /** `source.component` of its events. */
  readonly component: string;
  /** Asks for informers and indexes. May answer no loop when an option it needs is missing. */
  create(context: ControllerContext): readonly Loop[];
}

export type ControllerDefinition = Pick<Controller, "name" | "create"> & Partial<Controller>;

/** Account and component have the controller's name unless upstream calls them differently. */
export const defineController = (definition: ControllerDefinition): Controller => ({
  account: definition.name,
  component: definition.component ?? definition.account ?? definition.name,
  ...definition,
});

export const watch = <T>(informer: Informer<T>, handler: InformerHandler<T>): Watch => ({
  synced: () => informer.synced(),
  start: () => informer.addHandler(handler),
});

/** Every event marks what `mark` marks; an update marks for the old state too, which may have belonged elsewhere. */
export const onEvery = <T>(
  informer: Informer<T>,
  mark: (object: Parameters<NonNullable<InformerHandler<T>["added"]>>[0]) => void,
): Watch =>
  watch(informer, {
    added: mark,
    updated: (object, old) => {
      mark(old);
      mark(object);
    },
    deleted: mark,
  });
