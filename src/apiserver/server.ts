/**
 * The API server: store below, HTTP and in-memory callers above. This file only puts the parts together;
 * docs/apiserver.md says how a request travels through them.
 */
import type { AddressInfo } from "node:net";
import { creationText, type Kind, type ResourceFacts } from "#api";
import { type Clock, type Logger, MetricRegistry, preciseNow } from "#base";
import type { TypeSchema } from "#machinery";
import type { Store } from "#store";
import { Aggregation } from "./aggregation/aggregation.ts";
import { AdmissionChain, type AdmissionPlugin } from "./admission/chain.ts";
import { builtInPlugins } from "./admission/plugins.ts";
import { mutatingPolicies } from "./admission/policy/mutating.ts";
import { expressionEngine } from "./admission/policy/plugin.ts";
import { validatingPolicies } from "./admission/policy/validating.ts";
import { resourceQuota } from "./admission/resource-quota.ts";
import { createWebhookClient } from "./admission/webhook/client.ts";
import { createWebhookPlugins } from "./admission/webhook/plugins.ts";
import {
  ServiceNetwork,
  type ServiceNetworkOptions,
  familiesOf,
  withServiceFamilies,
} from "./allocation/service-network.ts";
import type { Auditor } from "./audit/auditor.ts";
import { printAddress } from "./aggregation/service-address.ts";
import { bootstrap, type Wanted } from "./bootstrap.ts";
import { WatchCaches } from "./cache/watch-caches.ts";
import { Definitions } from "./custom/definitions.ts";
import { discoveryHandlers, type DiscoverySource } from "./discovery/handlers.ts";
import { debugHandler } from "./debug/debug-handler.ts";
import { statusPages } from "./debug/status-pages.ts";
import { type HealthCheck, healthHandlers, healthPaths, rootHandler, StartSteps, versionHandler } from "./health.ts";
import { createFlow, type FlowOptions } from "./flowcontrol/create-flow.ts";
import { createListener, type Listener, type TlsOptions } from "./http/listener.ts";
import { createHandler } from "./http-server.ts";
import { createLookup } from "./lookup.ts";
import { createFieldTexts, type DescriptionFile } from "./openapi/descriptions.ts";
import { openApiHandler } from "./openapi/handlers.ts";
import { collectAudit } from "./metrics/audit-metrics.ts";
import { metricsHandler } from "./metrics/metrics-handler.ts";
import { ServerMetrics } from "./metrics/server-metrics.ts";
import { collectStorage } from "./metrics/storage-metrics.ts";
import type { PathHandler } from "./paths.ts";
import { Pipeline } from "./pipeline.ts";
import type { BinaryOutput } from "./present/binary.ts";
import { ProtobufOutput } from "./present/protobuf.ts";
import { defaultColumns, nameColumn } from "./present/table-presenter.ts";
import type { KindHooks, RegistryCore } from "./registry/core.ts";
import { eventSecondsDefault } from "./registry/event-leases.ts";
import { specialHandlers, specialHooks } from "./registry/special.ts";
import { type CallHandlers, Registry } from "./registry/registry.ts";
import { Storage } from "./registry/storage.ts";
import { builtInResources, type GroupVersion, type ResourceTable } from "./resource.ts";
import type { KeyPair } from "./security/certificates.ts";
import type { Authenticator, Authorizer } from "./security.ts";
import { upgradeThrough } from "./streaming/upgrade-request.ts";
import { requestTimeoutMs, Traffic } from "./traffic.ts";

export interface ApiServerOptions extends ServiceNetworkOptions {
  readonly tls: TlsOptions;
  /** How long events live; an hour by default. */
  readonly eventSeconds?: number | undefined;
  /** Offers CBOR (feature gate CBORServingAndStorage); off by default, as upstream. */
  readonly cbor?: boolean | undefined;
  /** Versions (`apps/v1`) that are served, or not, other than by default. */
  readonly versions?: ReadonlyMap<string, boolean> | undefined;
  /** Deletes what can't be read when asked to (feature gate AllowUnsafeMalformedObjectDeletion); off by default, as upstream. */
  readonly unsafeDeletion?: boolean | undefined;
  /** Extension servers are reached by endpoint instead of the cluster address of their Service: no service proxy runs on this machine. */
  readonly aggregatorRouting?: boolean | undefined;
  readonly flow?: FlowOptions;
  /** Profiles and the log level at /debug/. Default: true. */
  readonly profiling?: boolean;
  /** Shown at /flagz. */
  readonly flags?: Readonly<Record<string, string>>;
}

export interface ApiServerDependencies {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly facts: ServedFacts;
  readonly kinds: readonly Kind[];
  readonly authenticator: Authenticator;
  readonly authorizer: Authorizer;
  /** Writes down who asked what; absent: nobody does. Closed with the server. */
  readonly audit?: Auditor | undefined;
  /** By which extension servers know that this server passes on a request; absent: they believe nothing it says. */
  readonly frontProxy?: KeyPair | undefined;
  /** Beside the server's own: /healthz, /livez and /readyz ask them. */
  readonly checks?: ReadonlyMap<string, HealthCheck>;
  /** Served by others: reviews, tokens, exec… by `group/resource/subresource/verb`. */
  readonly handlers?: CallHandlers;
  /** Beside discovery, health and version; by the first part of the path. */
  readonly paths?: ReadonlyMap<string, PathHandler>;
  /** After the built-in plugins, before the quota. */
  readonly admission?: readonly AdmissionPlugin[];
  /** Judge a write when nothing changes it any more (escalation of rights). */
  readonly guards?: readonly AdmissionPlugin[];
  /** For OpenAPI: what the build took from elsewhere. */
  readonly descriptions?: () => DescriptionFile | undefined;
  /** Created at the start where they are missing. */
  readonly objects?: readonly Wanted[];
  /** Counted in, and shown at /metrics. */
  readonly metrics?: MetricRegistry;
}

export interface ServedFacts {
  readonly version: string;
  groupVersions(): readonly (GroupVersion & { readonly servedByDefault: boolean })[];
  resources(): readonly ResourceFacts[];
  typeOf(groupVersion: string, kind: string): TypeSchema | undefined;
}

export interface ApiServer {
  readonly table: ResourceTable;
  readonly caches: WatchCaches;
  readonly pipeline: Pipeline;
  readonly registry: Registry;
  /** Creates what every cluster has (namespaces, priority classes, the `kubernetes` Service) where it is missing. */
  prepare(): Promise<void>;
  listen(address: { host?: string; port: number }): Promise<AddressInfo>;
  setTls(tls: TlsOptions): void;
  /** Until the signal aborts; then closes. */
  run(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** Requests in flight get this long when the server closes. */
const closeGraceMs = 2_000;

export function createApiServer(options: ApiServerOptions, dependencies: ApiServerDependencies): ApiServer {
  const { store, clock, log, authenticator, authorizer, facts } = dependencies;
  const kinds = withServiceFamilies(dependencies.kinds, familiesOf(options.serviceCidr));
  const isServed = ({
    group,
    version,
    servedByDefault,
  }: {
    group: string;
    version: string;
    servedByDefault: boolean;
  }) => options.versions?.get(group === "" ? version : `${group}/${version}`) ?? servedByDefault;
  const table = builtInResources({
    groupVersions: facts.groupVersions().filter(isServed),
    resources: facts.resources().filter(isServed),
    kinds,
    typeOf: facts.typeOf,
  });
  const metrics = new ServerMetrics(dependencies.metrics ?? new MetricRegistry(), { version: facts.version });
  const caches = new WatchCaches({ store, clock, log });
  const storage = new Storage(caches, { metrics: metrics.storage, clock });
  collectStorage(metrics.registry, { store, caches });
  collectAudit(metrics.registry, dependencies.audit?.counters);
  const lookup = createLookup({ table, storage, clock });
  const webhooks = createWebhookPlugins({
    table,
    caches,
    log,
    authorizer,
    observer: { metrics: metrics.admission, precise: preciseNow(clock) },
  });
  const plugins = [
    ...builtInPlugins(),
    expressionEngine,
    ...(dependencies.admission ?? []),
    mutatingPolicies({ table, caches, authorizer }),
    webhooks.mutating,
    validatingPolicies({ table, caches, authorizer }),
    webhooks.validating,
    resourceQuota({ table, storage }),
    ...(dependencies.guards ?? []),
  ];
  const admission = new AdmissionChain(plugins, lookup, metrics.admissionObserver(preciseNow(clock)));
  const network = new ServiceNetwork(options, { store, clock, log, table, caches, lookup });
  const hooks: ReadonlyMap<string, KindHooks> = specialHooks({
    store,
    clock,
    services: network.hooks,
    eventSeconds: options.eventSeconds ?? eventSecondsDefault,
  });
  const { unsafeDeletion = false } = options;
  const core: RegistryCore = { storage, table, admission, authorizer, hooks, unsafeDeletion, typeOf: facts.typeOf };
  const registry = new Registry(core, {
    handlers: new Map([...specialHandlers({ store }), ...(dependencies.handlers ?? [])]),
    clock,
  });
  const conversions = createWebhookClient();
  const definitions = new Definitions({ core, clock, log, webhooks: { client: conversions, lookup } });
  let closing = false;
  const aggregation = new Aggregation({
    core,
    lookup,
    client: dependencies.frontProxy,
    byEndpoints: options.aggregatorRouting ?? false,
    requestTimeoutMs,
    metrics: metrics.registry,
    clock,
    log,
  });
  const flow = createFlow(options.flow, { clock, log, metrics: metrics.registry, table, storage });
  const steps = new StartSteps(Object.values(startSteps).flat());
  const paths = pathHandlers(dependencies, {
    options,
    metrics,
    steps,
    caches,
    dumps: flow.dumps,
    table,
    aggregation,
    closing: () => closing,
    serverAddress: () => servedAt,
  });
  const traffic = new Traffic({ metrics: metrics.requests, ...flow, clock });
  const pipeline = new Pipeline({
    table,
    registry,
    authorizer,
    paths,
    aggregation,
    audit: dependencies.audit,
    traffic,
  });
  let listener: Listener | undefined;
  /** As discovery tells it. */
  let servedAt: string | undefined;
  const columns = [nameColumn, ...defaultColumns, ...kinds.flatMap((kind) => kind.columns ?? [])];
  const textOf = createFieldTexts(
    [...columns, { description: creationText }],
    dependencies.descriptions ?? (() => undefined),
  );
  const handler = createHandler({
    pipeline,
    authenticator,
    protobuf: new ProtobufOutput(facts.typeOf),
    cbor: options.cbor ? onceLoaded(facts.typeOf) : undefined,
    textOf,
    clock,
    log,
  });
  let tls = options.tls;
  let closed: Promise<void> | undefined;
  const server: ApiServer = {
    table,
    caches,
    pipeline,
    registry,
    async prepare() {
      await bootstrap({ core, clock, objects: dependencies.objects ?? [] });
      await network.prepare(core);
      steps.done(...startSteps.bootstrap);
      await definitions.start();
      steps.done(...startSteps.definitions);
      await aggregation.start();
      steps.done(...startSteps.aggregation);
      await flow.start(pipeline);
      steps.done(...startSteps.flow);
    },
    async listen(address) {
      listener = createListener({
        tls,
        handler,
        log,
        upgrade: upgradeThrough(handler),
        onHandshakeError: () => metrics.handshakeErrors.inc(),
      });
      const bound = await listener.listen(address);
      const { advertiseAddress } = options;
      if (advertiseAddress) servedAt = printAddress({ host: advertiseAddress, port: bound.port });
      await network.start(core, bound.port);
      return bound;
    },
    setTls(next) {
      tls = next;
      listener?.setTls(next);
    },
    async run(signal) {
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      await server.close();
    },
    close() {
      closing = true;
      closed ??= close();
      return closed;
    },
  };
  async function close(): Promise<void> {
    await network.stop();
    // Ends all watches first: they would never finish by themselves.
    definitions.close();
    aggregation.close();
    flow.close();
    caches.close();
    await listener?.close(closeGraceMs);
    webhooks.close();
    await dependencies.audit?.close();
    conversions.close();
  }
  return server;
}

function onceLoaded(typeOf: ServedFacts["typeOf"]): () => Promise<BinaryOutput> {
  let loading: Promise<BinaryOutput> | undefined;
  return () => {
    loading ??= import("./present/cbor.ts").then(({ CborOutput }) => new CborOutput(typeOf));
    return loading;
  };
}

function pathHandlers(
  dependencies: ApiServerDependencies,
  { closing, options, metrics, steps, caches, dumps, ...source }: DiscoverySource & PathSources,
): ReadonlyMap<string, PathHandler> {
  const { store, facts, clock, log } = dependencies;
  // Named as upstream's; ours is whatever store is below.
  const stored: HealthCheck = async () => void (await store.size());
  const checks = new Map<string, HealthCheck>([
    ["ping", () => undefined],
    ["log", () => undefined],
    ["etcd", stored],
    ...(dependencies.checks ?? []),
    ...steps.checks(),
  ]);
  const readiness = new Map<string, HealthCheck>([
    ["etcd-readiness", stored],
    ["informer-sync", () => caches.fresh()?.then(() => undefined)],
    ["shutdown", () => (closing() ? "process is shutting down" : undefined)],
  ]);
  const observe = metrics.health.observe.bind(metrics.health);
  const [major = "", minor = ""] = facts.version.split(".");
  const paths: Map<string, PathHandler> = new Map([
    ...discoveryHandlers(source),
    ...healthHandlers({ checks, readiness, clock, log, observe }),
    ["metrics", metricsHandler(metrics.registry, metrics.health.registry)],
    ["debug", debugHandler({ profiling: options.profiling ?? true, log, dumps })],
    ...statusPages({
      component: "apiserver",
      version: facts.version,
      flags: options.flags ?? {},
      paths: () => [...paths.keys()].filter((name) => name !== "" && !elsewhere.has(name)).map((name) => `/${name}`),
    }),
    ["version", versionHandler({ major, minor, gitVersion: `v${facts.version}.0` })],
    [
      "openapi",
      openApiHandler({
        version: `${facts.version}.0`,
        ...source,
        typeOf: facts.typeOf,
        descriptions: dependencies.descriptions,
      }),
    ],
    ...(dependencies.paths ?? []),
  ]);
  paths.set(
    "",
    rootHandler(() => [
      ...listPaths(paths, source),
      ...healthPaths({ checks, readiness }).map((each) => `/${each}`),
      "/metrics/slis",
    ]),
  );
  return paths;
}

interface PathSources {
  readonly options: ApiServerOptions;
  readonly metrics: ServerMetrics;
  readonly steps: StartSteps;
  readonly caches: WatchCaches;
  readonly dumps: PathHandler | undefined;
  readonly closing: () => boolean;
}

/** What is done before anyone is served, by the checks that upstream has for it. */
const startSteps = {
  bootstrap: [
    "poststarthook/start-apiserver-admission-initializer",
    "poststarthook/generic-apiserver-start-informers",
    "poststarthook/storage-readiness",
    "poststarthook/start-system-namespaces-controller",
    "poststarthook/bootstrap-controller",
    "poststarthook/start-kubernetes-service-cidr-controller",
    "poststarthook/start-service-ip-repair-controllers",
    "poststarthook/start-cluster-authentication-info-controller",
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/scheduling/bootstrap-system-priority-classes",
    "poststarthook/kube-apiserver-autoregistration",
    "autoregister-completion",
  ],
  definitions: [
    "poststarthook/start-apiextensions-informers",
    "poststarthook/start-apiextensions-controllers",
    "poststarthook/crd-informer-synced",
  ],
  aggregation: [
    "poststarthook/start-kube-aggregator-informers",
    "poststarthook/apiservice-registration-controller",
    "poststarthook/apiservice-status-local-available-controller",
    "poststarthook/apiservice-status-remote-available-controller",
    "poststarthook/apiservice-openapi-controller",
  ],
  flow: ["poststarthook/priority-and-fairness-config-producer", "poststarthook/priority-and-fairness-config-consumer"],
} as const;

/** Pages that aren't about the server itself, or aren't told of. */
const elsewhere = new Set(["api", "apis", "openapi", "openid", ".well-known", "debug"]);

/** What `/` tells of the paths below a handler. */
const listed: Readonly<Record<string, readonly string[]>> = {
  "": [],
  debug: [],
  apis: ["/apis", "/apis/"],
  openapi: ["/openapi/v2", "/openapi/v3", "/openapi/v3/"],
  openid: ["/openid/v1/jwks"],
  ".well-known": ["/.well-known/openid-configuration"],
};

function listPaths(paths: ReadonlyMap<string, PathHandler>, source: DiscoverySource): string[] {
  const own = [...paths.keys()].flatMap((name) => listed[name] ?? [`/${name}`]);
  const groups = source.aggregation
    .legacyGroups()
    .flatMap(({ versions }) => versions)
    .flatMap(({ group, version }) =>
      group === "" ? [`/api/${version}`] : [`/apis/${group}`, `/apis/${group}/${version}`],
    );
  return [...new Set([...own, ...groups])];
}
