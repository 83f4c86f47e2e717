/**
 * Asks for metrics where they are served: resource, custom and external metrics are APIs behind the API server, each by whoever installed
 * one. Follows upstream's REST clients, versions and words.
 */
import type { CrossVersionObjectReference, LabelSelector } from "#api";
import { parseDuration } from "#base";
import type { Client } from "#client";
import { compileLabelSelector, isStatusError, printGroupResource, timeMs } from "#machinery";
import type { Seen } from "../lib/objects.ts";
import type { KindFinder } from "./kind-finder.ts";
import { milliOf } from "./milli.ts";
import { MetricError, type PodMetric, type PodMetrics } from "./replicas.ts";

export interface MetricsSource {
  /** Of pods, or of one container of each ("": all together). */
  resource(ask: { namespace: string; selector: string; resource: string; container: string }): Promise<PodMetrics>;
  pods(ask: { namespace: string; selector: string; metric: MetricName }): Promise<PodMetrics>;
  object(ask: { namespace: string; about: Seen<CrossVersionObjectReference>; metric: MetricName }): Promise<bigint>;
  external(ask: { namespace: string; metric: MetricName }): Promise<bigint[]>;
}

export interface MetricName {
  readonly name: string;
  readonly selector?: Seen<LabelSelector>;
}

interface PodMetricsList {
  readonly items?: readonly {
    readonly metadata: { readonly name: string };
    readonly timestamp?: string;
    readonly window?: string;
    readonly containers?: readonly { readonly name: string; readonly usage?: Readonly<Record<string, string>> }[];
  }[];
}

/** Both versions of custom metrics: they name the window differently. */
interface MetricValueList {
  readonly items?: readonly {
    readonly describedObject?: { readonly name?: string };
    readonly timestamp?: string;
    readonly windowSeconds?: number;
    readonly window?: number;
    readonly value: string;
  }[];
}

const customGroup = "custom.metrics.k8s.io";
/** In the order in which upstream knows them. */
const customVersions = ["v1beta2", "v1beta1"];
const windowMsDefault = 60_000;

/** `refreshMs`: how long a version of the custom metrics is believed to be served. */
export function createMetricsSource(
  client: Client,
  { kinds, now, refreshMs }: { kinds: KindFinder; now: () => number; refreshMs: number },
): MetricsSource {
  let version: { readonly name: string; readonly until: number } | undefined;

  async function get<T>(path: string, query: Record<string, string>, what: string): Promise<T> {
    const asked = Object.fromEntries(Object.entries(query).filter(([, value]) => value !== ""));
    try {
      return (await client.transport.request({ method: "GET", path, query: asked })) as T; // of the API that was asked
    } catch (error) {
      throw new MetricError(saidBy(error, what));
    }
  }

  async function customPath(): Promise<string> {
    if (!version || version.until <= now()) version = { name: await preferred(), until: now() + refreshMs };
    return `/apis/${customGroup}/${version.name}`;
  }

  async function preferred(): Promise<string> {
    const group = await client.transport.request({ method: "GET", path: `/apis/${customGroup}` }).catch((error) => {
      if (isStatusError(error) && error.code === 404)
        throw new MetricError(`no custom metrics API (${customGroup}) registered`);
      throw new MetricError(messageOf(error));
    });
    const { versions = [], preferredVersion } = group as {
      versions?: { version: string }[];
      preferredVersion?: { version: string };
    }; // an APIGroup
    const found = [preferredVersion, ...versions].find((each) => each && customVersions.includes(each.version));
    if (!found) throw new MetricError("no known available metric versions found");
    return found.version;
  }

  async function custom(ask: CustomQuestion): Promise<NonNullable<MetricValueList["items"]>> {
    const { namespace, resource, name, metric, selector = "" } = ask;
    const query = { labelSelector: selector, metricLabelSelector: selectorText(metric.selector) };
    const at = resource === "" ? "metrics" : `${resource}/${encodeURIComponent(name)}`;
    const path = `${await customPath()}/namespaces/${namespace}/${at}/${encodeURIComponent(metric.name)}`;
    const list = await get<MetricValueList>(path, query, `${resource || "metrics"}.${customGroup} ${name}`.trim());
    return list.items ?? [];
  }

  return {
    async resource({ namespace, selector, resource, container }) {
      const path = `/apis/metrics.k8s.io/v1beta1/namespaces/${namespace}/pods`;
      const { items = [] } = await from("resource", () =>
        get<PodMetricsList>(path, { labelSelector: selector }, "pods.metrics.k8s.io"),
      );
      if (items.length === 0) throw new MetricError("no metrics returned from resource metrics API");
      const found = new Map<string, PodMetric>();
      for (const { metadata, timestamp, window, containers = [] } of items) {
        const asked = container === "" ? containers : containers.filter(({ name }) => name === container);
        const amounts = asked.map(({ usage }) => usage?.[resource]);
        if (amounts.length === 0 || amounts.includes(undefined)) continue;
        const value = amounts.reduce((sum, amount = "0") => sum + milliOf(amount), 0n);
        found.set(metadata.name, { value, timestampMs: timeMs(timestamp), windowMs: parseDuration(window ?? "") ?? 0 });
      }
      return found;
    },
    async pods({ namespace, selector, metric }) {
      const items = await from("custom", () => custom({ namespace, resource: "pods", name: "*", metric, selector }));
      if (items.length === 0) throw new MetricError("no metrics returned from custom metrics API");
      return new Map(
        items.map(({ describedObject, timestamp, windowSeconds, window, value }) => {
          const seconds = windowSeconds ?? window;
          const windowMs = seconds === undefined ? windowMsDefault : seconds * 1000;
          return [describedObject?.name ?? "", { value: milliOf(value), timestampMs: timeMs(timestamp), windowMs }];
        }),
      );
    },
    async object({ namespace, about, metric }) {
      const items = await from("custom", async () => {
        const [group] = (about.apiVersion ?? "").includes("/") ? (about.apiVersion ?? "").split("/") : [""];
        // Whose name doesn't count: nobody looks beyond the own namespace.
        const ofNamespace = about.kind === "Namespace" && !group;
        const resource = ofNamespace ? "" : await qualified({ group: group ?? "", kind: about.kind });
        const found = await custom({ namespace, resource, name: about.name, metric });
        if (found.length === 1) return found;
        const many = `the custom metrics API server returned ${found.length} results when we asked for exactly one`;
        throw new MetricError(many);
      });
      return milliOf(items[0]?.value ?? "0");
    },
    async external({ namespace, metric }) {
      const path = `/apis/external.metrics.k8s.io/v1beta1/namespaces/${namespace}/${encodeURIComponent(metric.name)}`;
      const { items = [] } = await from("external", () =>
        get<MetricValueList>(
          path,
          { labelSelector: selectorText(metric.selector) },
          `${metric.name}.external.metrics.k8s.io`,
        ),
      );
      if (items.length === 0) throw new MetricError("no metrics returned from external metrics API");
      return items.map(({ value }) => milliOf(value));
    },
  };

  async function qualified(kind: { group: string; kind: string }): Promise<string> {
    try {
      return printGroupResource(await kinds.resource(kind));
    } catch (error) {
      const name = kind.group ? `${kind.kind}.${kind.group}` : kind.kind;
      throw new MetricError(`unable to map kind ${name} to resource: ${messageOf(error)}`);
    }
  }
}

interface CustomQuestion {
  readonly namespace: string;
  /** "": of the namespace itself. */
  readonly resource: string;
  readonly name: string;
  readonly metric: MetricName;
  readonly selector?: string;
}

async function from<T>(api: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof MetricError)) throw error;
    throw new MetricError(`unable to fetch metrics from ${api} metrics API: ${error.message}`);
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** What has no words of its own, client-go says with what was asked for. */
function saidBy(error: unknown, what: string): string {
  const message = messageOf(error);
  if (!isStatusError(error)) return message;
  const quoted = error.status.details?.causes?.find(({ reason }) => reason === "UnexpectedServerResponse")?.message;
  const generic = quoted && message.endsWith(`: ${quoted}`) ? message.slice(0, -quoted.length - 2) : message;
  const bare = generic !== message || message === "the server could not find the requested resource";
  return bare ? `${generic} (get ${what})` : message;
}

/** An absent selector asks for nothing in particular. */
const selectorText = (selector: Seen<LabelSelector> | undefined): string => compileLabelSelector(selector).toString();
