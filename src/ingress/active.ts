/** All that there is while an Ingress is ours: routes, certificates, pools of connections, ports and statuses. */
import { BlockList, isIP } from "node:net";
import type { Ingress } from "#api";
import { backoffMs } from "#base";
import { createEventRecorder, createInformers, delay } from "#client";
import type { DeepReadonly } from "#machinery";
import { createCertificates } from "./certificates.ts";
import { createListener } from "./listener.ts";
import type { IngressOptions } from "./options.ts";
import { createPools } from "./pools.ts";
import { createRouter } from "./router.ts";
import { RouteTable } from "./routes.ts";
import { createStatus } from "./status.ts";

export interface Active {
  /** `ours` when it is ours, `current` when it is there. */
  set(key: string, ours: DeepReadonly<Ingress> | undefined, current: DeepReadonly<Ingress> | undefined): void;
  /** `isOver`: the whole instance ends, not only its last Ingress. */
  close(options: { isOver: boolean }): Promise<void>;
}

/** Certificates may be forbidden to us: the ports don't wait for ever. */
const certificatesMsMax = 3_000;
const retry = { initialMs: 1_000, maxMs: 60_000 };
/** Statuses are taken back within this, or stay. */
const farewellMsMax = 5_000;
/** Events about one matter that concerns all. */
const eventsMax = 50;
type Kind = "http" | "https";

export function startActive(options: IngressOptions): Active {
  const { client, clock, ports, host, addresses, identity, onListening } = options;
  const log = options.log.with({ part: "ingress" });
  const life = new AbortController();
  const informers = createInformers(client, { clock, log });
  const events = createEventRecorder({ client, component: "sampan-ingress", host: identity, clock, log });
  const ours = new Map<string, DeepReadonly<Ingress>>();
  const routes = new RouteTable();
  const pools = createPools(informers);
  const status = createStatus({ client, informers, identity, addresses, clock, log });
  const warn = (ingress: DeepReadonly<Ingress>, reason: string, message: string) => {
    const about = { apiVersion: "networking.k8s.io/v1", kind: "Ingress", metadata: ingress.metadata };
    events.event(about, { type: "Warning", reason, message });
  };
  const certificates = createCertificates({
    ...{ client, clock, log, makeOwn: options.makeCertificate },
    onDefault: () => void refreshDefault(),
    onProblem(secret, problem) {
      log.warn("ingress: a certificate can't be used", { secret, problem });
      const message = `secret ${JSON.stringify(secret)} can't be used: ${problem}`;
      for (const ingress of namers(secret)) warn(ingress, "BadCertificate", message);
    },
  });
  const listening: { http?: number; https?: number } = {};
  const trusted = blocksOf(options.trustedProxies ?? []);
  const listener = createListener({
    router: createRouter({ routes, pools, httpsPort: () => listening.https ?? 0 }),
    contextOf: (name) => certificates.contextOf(name),
    defaultPair: () => certificates.defaultPair(),
    isTrusted: trusted ? (address) => trusted.check(address, isIP(address) === 6 ? "ipv6" : "ipv4") : () => false,
    now: () => performance.now(),
    log,
  });
  const refreshDefault = () =>
    listener.refreshDefault().catch((error: unknown) => log.error("ingress: no default certificate", { error }));
  const namers = (secret: string) =>
    [...ours.values()]
      .filter(({ metadata, spec }) =>
        spec?.tls?.some(({ secretName }) => `${metadata.namespace}/${secretName}` === secret),
      )
      .slice(0, eventsMax);

  let touched = Promise.withResolvers<void>();
  /** Opens what isn't open; what is taken by somebody else is tried again after a change, and in a while. */
  async function open(): Promise<void> {
    const { signal } = life;
    const ended = new Promise<void>((done) => signal.addEventListener("abort", () => done(), { once: true }));
    await Promise.race([ended, pools.synced()]);
    await Promise.race([ended, certificates.synced(), delay(clock, certificatesMsMax, signal)]);
    const kinds = (["http", "https"] as const).filter((kind) => ports[kind] !== 0);
    for (let failures = 1; !signal.aborted; failures++) {
      touched = Promise.withResolvers();
      const before = Object.keys(listening).length;
      for (const kind of kinds) if (listening[kind] === undefined && !signal.aborted) await openOne(kind);
      const now = Object.keys(listening).length;
      if (now > before) {
        status.setListening(true);
        log.info("ingress: listening", listening);
        onListening?.(listening);
      }
      if (now === kinds.length) return;
      await Promise.race([touched.promise, ended, delay(clock, backoffMs(failures, retry), signal)]);
    }
  }

  const told = new Set<string>();
  async function openOne(kind: Kind): Promise<void> {
    try {
      listening[kind] = await listener.listen(kind, Math.max(0, ports[kind]), host);
    } catch (error) {
      const message = `port ${ports[kind]} can't be listened on: ${(error as Error).message}`;
      if (!told.has(kind)) log.warn("ingress: a port can't be opened; it is tried again", { port: ports[kind], error });
      told.add(kind);
      for (const ingress of [...ours.values()].slice(0, eventsMax)) warn(ingress, "PortUnavailable", message);
    }
  }

  const opened = new Promise<void>((resolve, reject) => {
    // After the first Ingresses were put in.
    setImmediate(() => open().then(resolve, reject));
  });
  const parts = [opened, informers.run(life.signal), status.run(life.signal)];
  for (const part of parts) part.catch((error: unknown) => log.error("ingress: a part failed", { error }));
  return {
    set(key, mine, current) {
      if (mine) {
        if (isChanged(ours.get(key), mine)) {
          routes.set(key, mine);
          certificates.set(key, mine);
          touched.resolve();
        }
        ours.set(key, mine);
      } else {
        ours.delete(key);
        routes.delete(key);
        certificates.delete(key);
      }
      status.set(key, mine, current);
    },
    async close({ isOver }) {
      life.abort();
      await listener.close();
      await Promise.allSettled(parts);
      pools.close();
      await certificates.close();
      const withdrawn = isOver && options.keepsStatus ? undefined : status.withdraw();
      // The API server may be gone before us.
      await Promise.race([withdrawn, delay(clock, farewellMsMax)]);
      await events.close();
    },
  };
}

/** Our own writing of the status isn't a change. */
function isChanged(before: DeepReadonly<Ingress> | undefined, { metadata }: DeepReadonly<Ingress>): boolean {
  if (before?.metadata.uid !== metadata.uid) return true;
  if (before?.metadata.generation !== metadata.generation) return true;
  return JSON.stringify(before?.metadata.annotations) !== JSON.stringify(metadata.annotations);
}

function blocksOf(ranges: readonly string[]): BlockList | undefined {
  if (ranges.length === 0) return undefined;
  const blocks = new BlockList();
  for (const range of ranges) {
    const [address = "", bits] = range.split("/");
    const family = isIP(address) === 6 ? "ipv6" : "ipv4";
    if (bits === undefined) blocks.addAddress(address, family);
    else blocks.addSubnet(address, Number(bits), family);
  }
  return blocks;
}
