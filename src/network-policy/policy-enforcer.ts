/**
 * The policies of one node in its kernel. What comes in one turn of the event loop goes into one nft transaction; a refused one is followed
 * by a whole new table. The table stays when Sampan ends, so that nothing is open while it is away.
 */
import type { EndpointSlice, NetworkPolicy, Pod } from "#api";
import { type ApplyScript, backoffMs, type Clock, type Logger } from "#base";
import type { DeepReadonly, Labels } from "#machinery";
import { type PodFacts, podFacts } from "./core/pod-facts.ts";
import { createPolicyTable, type PolicyTableOptions } from "./core/policy-table.ts";
import { probeText } from "./core/table-text.ts";

export interface EnforcerOptions extends PolicyTableOptions {
  readonly nodeName: string;
  readonly apply: ApplyScript;
  readonly clock: Clock;
  readonly log: Logger;
}

/** How long somebody else's removal of the table goes unnoticed at most when nothing changes. */
const probeMs = 30_000;
const retry = { initialMs: 100, maxMs: 30_000 };

/**
 * The cluster's DNS is no pod here, but policies that let pods use it say `k8s-app: kube-dns` in kube-system, as it is elsewhere. So
 * its addresses are those of a pod with these labels.
 */
const dns = { namespace: "kube-system", service: "kube-dns", labels: { "k8s-app": "kube-dns" } } as const;
const serviceLabel = "kubernetes.io/service-name";
const dnsKey = `${dns.namespace}/service:${dns.service}`;

export function createEnforcer(options: EnforcerOptions) {
  const { nodeName, apply, clock, log } = options;
  const table = createPolicyTable(options);
  /** Addresses that the kubelet knows before the API server does. */
  const early = new Map<string, { readonly uid: string; readonly addresses: readonly string[] }>();
  const dnsSlices = new Map<string, DeepReadonly<EndpointSlice>>();
  let begun = false;
  let stopped = false;
  let dirty = false;
  let flushing: Promise<void> | undefined;
  let failures = 0;
  let cancelTimer = (): void => undefined;

  const changed = () => {
    dirty = true;
    if (begun && !stopped) flushing ??= flush();
  };

  async function flush(): Promise<void> {
    // Let the events of this turn of the loop come in first: they go into the same transaction.
    await new Promise<void>((next) => setImmediate(next));
    cancelTimer();
    let delayMs = probeMs;
    try {
      while (dirty && !stopped) {
        dirty = false;
        const script = table.take();
        if (script !== "") await apply(script);
      }
      failures = 0;
    } catch (error) {
      failures++;
      delayMs = backoffMs(failures, retry);
      log.error("network policies: rules not committed; making the table anew", { error, retryMs: delayMs });
      table.forget();
      dirty = true;
    } finally {
      flushing = undefined;
    }
    if (!stopped)
      cancelTimer = clock.after(delayMs, () => {
        flushing ??= dirty ? flush() : probe();
      });
  }

  /** Whoever removes the table (a firewall that flushes everything) gets it back. */
  async function probe(): Promise<void> {
    try {
      await apply(probeText);
    } catch (error) {
      log.warn("network policies: the table is gone; making it anew", { error });
      table.forget();
      dirty = true;
    }
    await flush();
  }

  function setPod(pod: DeepReadonly<Pod>): void {
    const facts = podFacts(pod, nodeName);
    if (facts) table.setPod(withEarly(facts));
    else removePod(pod);
    changed();
  }

  function withEarly(facts: PodFacts): PodFacts {
    const known = early.get(facts.key);
    if (!known) return facts;
    if (known.uid === facts.uid && String(known.addresses) !== String(facts.addresses))
      return { ...facts, addresses: known.addresses };
    early.delete(facts.key);
    return facts;
  }

  function removePod({ metadata }: DeepReadonly<Pick<Pod, "metadata">>): void {
    const key = `${metadata.namespace}/${metadata.name}`;
    if (early.get(key)?.uid === metadata.uid) early.delete(key);
    table.removePod(key);
    changed();
  }

  function setDns(): void {
    const slices = [...dnsSlices.values()];
    // Where DNS runs as pods, they have the labels themselves.
    const addresses = slices.flatMap(({ endpoints }) =>
      (endpoints ?? []).flatMap((each) => (each.targetRef ? [] : each.addresses)),
    );
    const ports = slices
      .flatMap((slice) => slice.ports ?? [])
      .map(({ name = "", protocol = "TCP", port = 0 }) => ({ name, protocol: protocol.toLowerCase(), port }));
    const { namespace, labels } = dns;
    if (addresses.length === 0) table.removePod(dnsKey);
    else
      table.setPod({
        key: dnsKey,
        uid: "",
        namespace,
        labels,
        addresses: [...new Set(addresses)],
        ports,
        local: false,
      });
    changed();
  }

  const isDns = ({ metadata: { namespace, labels } }: DeepReadonly<EndpointSlice>) =>
    namespace === dns.namespace && labels?.[serviceLabel] === dns.service;

  return {
    setPolicy(policy: DeepReadonly<NetworkPolicy>): void {
      table.setPolicy(policy);
      changed();
    },
    removePolicy({ metadata }: DeepReadonly<NetworkPolicy>): void {
      table.removePolicy(`${metadata.namespace}/${metadata.name}`);
      changed();
    },
    setPod,
    removePod,
    setNamespace(name: string, labels: Labels): void {
      table.setNamespace(name, labels);
      changed();
    },
    removeNamespace(name: string): void {
      table.removeNamespace(name);
      changed();
    },
    setSlice(slice: DeepReadonly<EndpointSlice>): void {
      if (!isDns(slice)) return;
      dnsSlices.set(slice.metadata.name ?? "", slice);
      setDns();
    },
    removeSlice(slice: DeepReadonly<EndpointSlice>): void {
      if (isDns(slice) && dnsSlices.delete(slice.metadata.name ?? "")) setDns();
    },
    /** Everything is known: half the truth would cut connections. */
    begin(): void {
      begun = true;
      changed();
    },
    /** Resolves when the rules for a pod with these addresses have been committed, or refused. */
    async podStarts(pod: DeepReadonly<Pod>, addresses: readonly string[]): Promise<void> {
      const { namespace, name, uid = "" } = pod.metadata;
      early.set(`${namespace}/${name}`, { uid, addresses });
      setPod(pod);
      await flushing;
    },
    /** Resolves when everything known so far is in the kernel. */
    async settled(): Promise<void> {
      while (flushing) await flushing;
    },
    async close(): Promise<void> {
      stopped = true;
      cancelTimer();
      await flushing;
    },
  };
}

export type Enforcer = ReturnType<typeof createEnforcer>;
