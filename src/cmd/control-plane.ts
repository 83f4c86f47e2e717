/** Certificates, store, security and API server, put together: what `up`, `apiserver` and the embedded cluster share. */
import { existsSync, readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { isIP } from "node:net";
import { hostname } from "node:os";
import path from "node:path";
import { coordinatedKinds, facts, kinds as allKinds, type NodeUsage, type RequestUser, withScaleToZero } from "#api";
import {
  type ApiServer,
  type AuditOptions,
  bootstrapWanted,
  createApiServer,
  createAuditor,
  createKubeletConnector,
  createLocalTransport,
  createSecurity,
  createStreaming,
  Encryption,
  encryptedStore,
  type HealthCheck,
  issueLegacyToken,
  type DescriptionFile,
  type Keeping,
  loadResourceMetrics,
  keepExtensionAuthentication,
  kubernetesAddress,
  openPki,
  type Pki,
  type RequestHeaderSettings,
  type SimulatedUsage,
} from "#apiserver";
import { assert, type Clock, collectProcess, type Logger, MetricRegistry } from "#base";
import { type Client, createClient, delay } from "#client";
import { openSqliteStore, runCompaction, type Store } from "#store";
import type { EncryptionSettings } from "./encryption-flags.ts";
import { followConfigFile } from "./config-file.ts";
import type { AggregatorSettings } from "./aggregator-flags.ts";
import type { FeatureGates } from "./feature-gates.ts";
import { defaultIssuer, type SecuritySettings } from "./security-flags.ts";
import type { ServiceSettings } from "./service-flags.ts";
import type { dataLayout } from "./settings.ts";
import type { TrafficSettings } from "./traffic-flags.ts";

export interface ControlPlaneOptions {
  readonly layout: ReturnType<typeof dataLayout>;
  /** One range, or two of different families behind a comma. */
  readonly serviceCidr: string;
  readonly clusterDomain: string;
  readonly bindAddress: string;
  /** 0: any free port. */
  readonly port: number;
  /** Where others reach the server; in its certificate, and the endpoint of the `kubernetes` Service. */
  readonly advertiseAddress: string;
  /** Names and addresses beside its own that the server's certificate is for. */
  readonly alsoCalled?: readonly string[];
  readonly aggregator?: AggregatorSettings;
  readonly features?: FeatureGates | undefined;
  /** Versions that are served, or not, other than by default. */
  readonly versions?: ReadonlyMap<string, boolean> | undefined;
  /** Beside those of a file. */
  readonly staticTokens?: ReadonlyMap<string, RequestUser>;
  /** What the flags say; without it everything as it is by default. */
  readonly security?: SecuritySettings;
  /** Absent: no audit log. */
  readonly audit?: AuditOptions | undefined;
  /** Absent: nothing is encrypted on the disk. */
  readonly encryption?: EncryptionSettings | undefined;
  readonly traffic?: TrafficSettings | undefined;
  readonly services?: ServiceSettings | undefined;
  /** Serves `metrics.k8s.io`, until somebody else does; absent: nobody but who is installed. */
  readonly resourceMetrics?: ResourceMetricsSources | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Of nodes in this process; others are asked over the network. */
export interface ResourceMetricsSources {
  /** Undefined: not here. */
  usage(node: string): Promise<NodeUsage> | undefined;
  simulated?(): SimulatedUsage | undefined;
}

export interface ControlPlane {
  readonly server: ApiServer;
  readonly pki: Pki;
  readonly store: Store;
  readonly port: number;
  /** Called whenever certificates of the server's own have been renewed. */
  onRenewal(listener: () => void): void;
  /** Makes a token that lives in this Secret. */
  legacyToken(secret: { namespace: string; name: string }, account: { name: string; uid: string }): string;
  /** A client inside of this process that acts as this user. */
  client(user: { name: string; groups: readonly string[]; userAgent: string }): Client;
  close(): Promise<void>;
}

export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { layout, serviceCidr, clusterDomain, advertiseAddress, alsoCalled = [], clock, log } = options;
  const audit =
    options.audit && createAuditor(options.audit, { clock, log, stdout: (text) => process.stdout.write(text) });
  await mkdir(path.dirname(layout.database), { recursive: true, mode: 0o700 });
  const [pki, disk] = await Promise.all([
    openPki({
      directory: layout.pki,
      now: clock.now(),
      serverNames: [...serverNames(clusterDomain), ...alsoCalled.filter((each) => isIP(each) === 0)],
      serverAddresses: [
        ...new Set(["127.0.0.1", "::1", kubernetesAddress(serviceCidr), advertiseAddress]),
        ...alsoCalled.filter((each) => isIP(each) > 0),
      ],
    }),
    openSqliteStore({ path: layout.database, clock, log }),
  ]);
  const stop = new AbortController();
  const encryption = options.encryption && (await openEncryption(options.encryption, options, stop.signal));
  const store = encryption ? encryptedStore(disk, encryption) : disk;
  const { configuration, accounts, follow } = options.security ?? {};
  const advertised = isIP(advertiseAddress) === 6 ? `[${advertiseAddress}]` : advertiseAddress;
  const signingKey = accounts?.signingKey ?? pki.serviceAccountKey;
  const security = createSecurity({
    clientAuthorities: pki.authority.certificate,
    requestHeader: frontProxyHeaders(pki),
    ...configuration,
    accounts: {
      signingKey,
      issuers: [defaultIssuer(clusterDomain)],
      ...(options.port > 0 && { jwksUri: `https://${advertised}:${options.port}/openid/v1/jwks` }),
      ...accounts,
    },
    staticTokens: new Map([...(options.staticTokens ?? []), ...(configuration?.staticTokens ?? [])]),
    clock,
    log,
  });
  const tls = () => {
    const { clientAuthorities, requestHeader } = security.trusted();
    const clientCa = [clientAuthorities, requestHeader?.authorities ?? ""].filter((pem) => pem !== "");
    return { cert: pki.server.certificate, key: pki.server.key, clientCa };
  };
  const kubelets = createKubeletConnector({ ...pki.kubeletClient, authority: pki.authority.certificate });
  const resourceMetrics = options.resourceMetrics && (await loadResourceMetrics());
  const streaming = createStreaming({
    kubelets,
    clock,
    log,
  });
  const kinds = options.features?.scaleToZero ? withScaleToZero(allKinds) : allKinds;
  const { storageVersionMigration } = options.features ?? {};
  // Only served when the feature is on too.
  const versions = storageVersionMigration
    ? options.versions
    : new Map(options.versions).set("storagemigration.k8s.io/v1beta1", false);
  // Without the version of the candidates there is nothing to elect among; as upstream, one doesn't turn on the other.
  const isCoordinated =
    Boolean(options.features?.coordinatedElection) && options.versions?.get("coordination.k8s.io/v1beta1") === true;
  const metrics = new MetricRegistry();
  const endMetrics = collectProcess(metrics);
  const server = createApiServer(
    {
      tls: tls(),
      serviceCidr,
      advertiseAddress,
      securePort: options.port,
      hostname: hostname(),
      ...options.services,
      ...options.traffic,
      aggregatorRouting: options.aggregator?.byEndpoints ?? false,
      cbor: options.features?.cbor,
      unsafeDeletion: options.features?.unsafeDeletion,
      versions,
    },
    {
      store,
      clock,
      log,
      facts: resourceMetrics?.withResourceMetrics(facts) ?? facts,
      kinds: [...(isCoordinated ? coordinatedKinds(kinds) : kinds), ...(resourceMetrics?.metricKinds ?? [])],
      metrics,
      audit,
      ...(encryption && { checks: encryptionChecks(encryption, options.encryption) }),
      frontProxy: options.aggregator?.client ?? pki.frontProxy.client,
      authenticator: security.authenticator,
      authorizer: security.authorizer,
      handlers: new Map([
        ...security.handlers,
        ...streaming.handlers,
        ...(resourceMetrics?.resourceMetricsHandlers({
          fetch: async (node) =>
            (await options.resourceMetrics?.usage(node.name)) ??
            resourceMetrics.fetchUsage(node, { kubelets, now: () => clock.now(), log }),
          simulated: () => options.resourceMetrics?.simulated?.(),
          clock,
        }) ?? []),
      ]),
      paths: security.paths,
      admission: security.admission,
      guards: security.guards,
      objects: [
        ...bootstrapWanted(clock.now(), { storageVersionMigration }),
        ...(resourceMetrics ? [resourceMetrics.metricsReader] : []),
      ],
      descriptions,
    },
  );
  const renewed = new Set<() => void>([
    () => {
      server.setTls(tls());
      kubelets.setCertificate(pki.kubeletClient);
    },
  ]);
  const renewal = renewCertificates(pki, { clock, log, signal: stop.signal, renewed });
  let elections: Promise<void> | undefined;
  const compaction = runCompaction(store, { signal: stop.signal, clock, log });
  let keeping: Keeping | undefined;
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= (async () => {
      stop.abort();
      keeping?.close();
      security.close();
      await server.close();
      streaming.close();
      endMetrics();
      await Promise.all([compaction, elections, renewal]);
      await store.close();
      encryption?.close();
    })();
    return closing;
  };
  const transportOf = (user: RequestUser, userAgent: string) =>
    createLocalTransport({
      pipeline: server.pipeline,
      clock,
      user,
      userAgent,
      onWarning: (text) => log.debug("warning of the API server", { to: userAgent, text }),
    });
  const self = transportOf(
    { name: "system:apiserver", uid: "", groups: ["system:masters"], extra: {} },
    "kube-apiserver",
  );
  try {
    await security.attach(server, self);
    await server.prepare();
    const kind = server.table.stored("", "configmaps");
    assert(kind, "config maps are built in");
    const kept = await keepExtensionAuthentication({
      wanted: () => security.trusted(),
      transport: self,
      store,
      kind,
      clock,
      log,
    });
    keeping = kept;
    const setClientAuthorities = () => {
      server.setTls(tls());
      kept.refresh();
    };
    follow?.({ security, setClientAuthorities, clock, log, signal: stop.signal });
    if (isCoordinated) {
      const { runElections } = await import("./elections.ts");
      elections = runElections(createClient(self), { clock, log, signal: stop.signal });
    }
    const { port } = await server.listen({ host: options.bindAddress, port: options.port });
    return {
      server,
      pki,
      store,
      port,
      close,
      onRenewal: (listener) => void renewed.add(listener),
      legacyToken: (secret, account) => issueLegacyToken(signingKey, secret, account),
      client: ({ name, groups, userAgent }) =>
        createClient(transportOf({ name, uid: "", groups: [...groups, "system:authenticated"], extra: {} }, userAgent)),
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A server may run for years. */
async function renewCertificates(
  pki: Pki,
  {
    clock,
    log,
    signal,
    renewed,
  }: Pick<ControlPlaneOptions, "clock" | "log"> & { signal: AbortSignal; renewed: Iterable<() => void> },
): Promise<void> {
  for (;;) {
    await delay(clock, renewalLookMs, signal);
    if (signal.aborted) return;
    try {
      if (!(await pki.renew(clock.now()))) continue;
      log.info("certificates of the server's own were renewed");
      for (const listener of renewed) listener();
    } catch (error) {
      log.error("certificates of the server's own can't be renewed", { error });
    }
  }
}

const renewalLookMs = 12 * 3_600_000;

/** Beside the program, from the bundle as from source; without a build nothing is described. */
function descriptions(): DescriptionFile | undefined {
  const file = path.join(
    import.meta.dirname,
    import.meta.dirname.endsWith("dist") ? "." : "../../dist",
    "descriptions.json",
  );
  if (!existsSync(file)) return undefined;
  return JSON.parse(readFileSync(file, "utf8")) as DescriptionFile; // written by our build
}

async function openEncryption(
  { configuration, follow }: EncryptionSettings,
  { clock, log }: Pick<ControlPlaneOptions, "clock" | "log">,
  signal: AbortSignal,
): Promise<Encryption> {
  const encryption = await Encryption.open({ configuration, clock, log });
  if (follow) followConfigFile({ ...follow, clock, log, signal, apply: (text) => encryption.reload(text) });
  return encryption;
}

/** Keys that are exchanged may be a plugin's later. */
function encryptionChecks(encryption: Encryption, settings: EncryptionSettings | undefined): Map<string, HealthCheck> {
  const wanted = encryption.hasPlugins || settings?.follow;
  return new Map(wanted ? [["kms-providers", () => encryption.check()]] : []);
}

/** How our own front proxy speaks; as kubeadm sets it up. */
const frontProxyHeaders = (pki: Pki): RequestHeaderSettings => ({
  authorities: pki.frontProxy.authority,
  allowedNames: ["front-proxy-client"],
  usernameHeaders: ["X-Remote-User"],
  uidHeaders: ["X-Remote-Uid"],
  groupHeaders: ["X-Remote-Group"],
  extraHeaderPrefixes: ["X-Remote-Extra-"],
});

function serverNames(clusterDomain: string): string[] {
  const short = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"];
  return [...new Set(["localhost", hostname(), ...short, `kubernetes.default.svc.${clusterDomain}`])];
}
