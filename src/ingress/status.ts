/**
 * Tells in the status of each Ingress of ours where it is served. Several instances may work beside each other: each says by a Lease of its own that
 * it listens and where, so all of them know all addresses, and the first by name of those that are alive writes. Nobody has to be elected: whoever
 * holds itself for the first writes the same.
 */
import { isIP } from "node:net";
import type { Ingress, IngressLoadBalancerIngress, Lease } from "#api";
import { type Clock, type Logger, steadyClock } from "#base";
import { type Client, delay, type InformerSet, microTime, splitKey } from "#client";
import { type DeepReadonly, isStatusError } from "#machinery";

export interface StatusOptions {
  readonly client: Client;
  readonly informers: InformerSet;
  readonly identity: string;
  readonly addresses: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
}

export interface IngressStatus {
  /** `current` without `ours`: it isn't ours any more. Without both it is gone. */
  set(key: string, ours: DeepReadonly<Ingress> | undefined, current: DeepReadonly<Ingress> | undefined): void;
  /** Ports are open, or not any more. */
  setListening(isListening: boolean): void;
  /** Resolves when the signal aborted. */
  run(signal: AbortSignal): Promise<void>;
  /** After `run`: takes our addresses away where nobody else listens, and says that we don't. */
  withdraw(): Promise<void>;
}

const leaseNamespace = "kube-system";
const leaseLabel = "sampan.dev/ingress";
const addressesAnnotation = "sampan.dev/ingress-addresses";
const leaseSeconds = 40;
const renewMs = 15_000;
const retryMs = 2_000;
/** Written at a time. */
const writersMax = 8;

export function createStatus(options: StatusOptions): IngressStatus {
  const { client, informers, identity, addresses, log } = options;
  const clock = steadyClock(options.clock);
  const name = `sampan-ingress-${identity}`;
  const leases = informers.of("coordination.k8s.io/v1/leases", {
    namespace: leaseNamespace,
    labelSelector: `${leaseLabel}=true`,
  });
  const own = client.resource("coordination.k8s.io/v1/leases", leaseNamespace);
  const ours = new Map<string, DeepReadonly<Ingress>>();
  /** Were ours, and may still say so. */
  const released = new Map<string, DeepReadonly<Ingress>>();
  const dirty = new Set<string>();
  /** When each lease was changed last, by our clock. */
  const seen = new Map<string, number>();
  let isListening = false;
  let wanted: readonly string[] = [];
  let isWriter = false;
  let pumping: Promise<void> | undefined;
  let changed = Promise.withResolvers<void>();

  const isAlive = ({ metadata, spec }: DeepReadonly<Lease>) =>
    metadata.name !== name &&
    (seen.get(metadata.name ?? "") ?? 0) + (spec?.leaseDurationSeconds ?? leaseSeconds) * 1000 > clock.now();

  /** Who listens where, and whether it is ours to tell. */
  function judge(): void {
    const others = leases.list().filter(isAlive);
    const found = others.flatMap(({ metadata }) => metadata.annotations?.[addressesAnnotation]?.split(",") ?? []);
    const all = [...new Set([...found, ...(isListening ? addresses : [])])].filter(Boolean).sort();
    const isFirst = others.every(({ metadata }) => (metadata.name ?? "") > name);
    if (isFirst === isWriter && all.join() === wanted.join()) return;
    isWriter = isFirst;
    wanted = all;
    for (const key of [...ours.keys(), ...released.keys()]) dirty.add(key);
    pump();
  }

  function pump(): void {
    pumping ??= (async () => {
      // What else comes in this turn is written at once with it.
      await new Promise((next) => setImmediate(next));
      while (dirty.size > 0 && isWriter) {
        const keys = [...dirty].slice(0, writersMax);
        for (const key of keys) dirty.delete(key);
        await Promise.all(keys.map(write));
      }
    })().finally(() => {
      pumping = undefined;
    });
  }

  async function write(key: string): Promise<void> {
    const ingress = ours.get(key) ?? released.get(key);
    if (!ingress) return;
    const target = ours.has(key) ? wanted.map(pointOf) : [];
    const { namespace, name: ingressName } = splitKey(key);
    try {
      if (!isSame(ingress.status?.loadBalancer?.ingress ?? [], target)) {
        const patch = { status: { loadBalancer: { ingress: target.length > 0 ? target : null } } };
        const resource = client.resource("networking.k8s.io/v1/ingresses", namespace);
        await resource.patch(ingressName, patch, { type: "merge", subresource: "status" });
      }
      if (!ours.has(key)) released.delete(key);
    } catch (error) {
      if (isStatusError(error, "NotFound")) return;
      log.warn("ingress: a status isn't written", { ingress: key, error });
      options.clock.after(retryMs, () => {
        dirty.add(key);
        pump();
      });
    }
  }

  async function renew(): Promise<void> {
    const annotations = { [addressesAnnotation]: addresses.join(",") };
    const time = microTime(options.clock.now());
    const spec = { holderIdentity: identity, leaseDurationSeconds: leaseSeconds, renewTime: time };
    try {
      const metadata = { annotations, labels: { [leaseLabel]: "true" } };
      await own.patch(name, { metadata, spec }, { type: "merge" });
    } catch (error) {
      if (!isStatusError(error, "NotFound")) throw error;
      const metadata = { name, namespace: leaseNamespace, annotations, labels: { [leaseLabel]: "true" } };
      await own.create({ metadata, spec });
    }
  }

  const forget = async () => {
    try {
      await own.delete(name);
    } catch (error) {
      if (!isStatusError(error, "NotFound")) log.warn("ingress: our lease is left behind", { error });
    }
  };

  return {
    set(key, mine, current) {
      if (mine) {
        ours.set(key, mine);
        released.delete(key);
      } else {
        const had = ours.delete(key);
        if (!current) released.delete(key);
        else if (had || released.has(key)) released.set(key, current);
      }
      if (!mine && !released.has(key)) return;
      dirty.add(key);
      pump();
    },
    setListening(listening) {
      isListening = listening;
      changed.resolve();
    },
    async run(signal) {
      const note = ({ metadata }: DeepReadonly<Lease>) => {
        seen.set(metadata.name ?? "", clock.now());
        changed.resolve();
      };
      const remove = leases.addHandler({
        added: note,
        updated: note,
        deleted: ({ metadata }) => {
          seen.delete(metadata.name ?? "");
          changed.resolve();
        },
      });
      signal.addEventListener("abort", () => changed.resolve(), { once: true });
      await Promise.race([leases.synced(), changed.promise]);
      let renewAt = 0;
      while (!signal.aborted) {
        changed = Promise.withResolvers();
        if (isListening && clock.now() >= renewAt) {
          renewAt = clock.now() + renewMs;
          await renew().catch((error: unknown) => log.warn("ingress: our lease isn't renewed", { error }));
        }
        judge();
        // Others die silently: looked at as often as we renew.
        const pause = new AbortController();
        const waited = delay(
          options.clock,
          Math.min(renewMs, Math.max(retryMs / 2, renewAt - clock.now())),
          pause.signal,
        );
        await Promise.race([waited, changed.promise]);
        pause.abort();
      }
      remove();
      await pumping;
    },
    async withdraw() {
      isListening = false;
      judge();
      await pumping;
      await forget();
    },
  };
}

const pointOf = (address: string): IngressLoadBalancerIngress =>
  isIP(address) ? { ip: address } : { hostname: address };

function isSame(found: readonly DeepReadonly<IngressLoadBalancerIngress>[], target: typeof found): boolean {
  const print = (points: typeof found) => points.map(({ ip, hostname }) => ip ?? hostname).join();
  return print(found) === print(target);
}
