/** One metric of an autoscaler: what to ask for, and what follows from the answer. Words are upstream's, odd ones included. */
import type { LabelSelector, MetricSpec, MetricStatus, MetricValueStatus } from "#api";
import { goLabelSelector } from "#machinery";
import type { Seen } from "../lib/objects.ts";
import type { MetricsSource } from "./metrics-source.ts";
import { milliOf, printMilli } from "./milli.ts";
import {
  averageReplicas,
  MetricError,
  type Proposal,
  type ReplicaContext,
  sharedReplicas,
  sumOf,
  totalReplicas,
  utilizationReplicas,
} from "./replicas.ts";

export interface MeasureContext extends ReplicaContext {
  readonly source: MetricsSource;
  readonly namespace: string;
  /** Of the pods, as text. */
  readonly selector: string;
  /** Wanted, and there. */
  readonly specReplicas: number;
  readonly statusReplicas: number;
}

export type Measured =
  | { readonly ok: true; readonly replicas: number; readonly name: string; readonly status: MetricStatus }
  | {
      readonly ok: false;
      /** Of the condition and the event about it. */
      readonly reason: string;
      readonly why: string;
      /** Of the failure as a whole. */
      readonly message: string;
    };

/** What a kind of metric does with an answer. */
interface Outcome extends Pick<Proposal, "replicas"> {
  readonly name: string;
  readonly status: MetricStatus;
}

interface Kind {
  readonly reason: string;
  /** Put before the message as a whole. */
  wrap(spec: Seen<MetricSpec>): string;
  measure(spec: Seen<MetricSpec>, context: MeasureContext): Promise<Outcome>;
}

export async function measure(spec: Seen<MetricSpec>, context: MeasureContext): Promise<Measured> {
  const kind = kinds[spec.type];
  if (!kind) {
    const why = `unknown metric source type ${JSON.stringify(spec.type)}`;
    return { ok: false, reason: "InvalidMetricSourceType", why, message: why };
  }
  try {
    return { ok: true, ...(await kind.measure(spec, context)) };
  } catch (error) {
    // Whatever breaks, the other metrics count.
    const why = error instanceof Error ? error.message : String(error);
    const inner = error instanceof NamedFailure ? error.named : why;
    return { ok: false, reason: kind.reason, why, message: `${kind.wrap(spec)}: ${inner}` };
  }
}

/** What is shown in the condition lacks what the message as a whole says before it. */
class NamedFailure extends MetricError {
  readonly named: string;

  constructor(message: string, prefix: string) {
    super(message);
    this.named = `${prefix}: ${message}`;
  }
}

async function failing<T>(prefix: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new MetricError(`${prefix}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function namedFailing<T>(prefix: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new NamedFailure(error instanceof Error ? error.message : String(error), prefix);
  }
}

const identifier = ({ name, selector }: Seen<{ name: string; selector?: LabelSelector }>) =>
  ({ name, ...(selector && { selector }) }) as { name: string; selector?: LabelSelector }; // only sent

async function measureResource(
  { name, target, container }: NonNullable<Seen<MetricSpec>["resource"]> & { readonly container?: string },
  context: MeasureContext,
): Promise<{ current: MetricValueStatus; replicas: number; name: string }> {
  const { source, namespace, selector, specReplicas: current } = context;
  const ask = { namespace, selector, resource: name, container: container ?? "" };
  const metrics = () => failing(`unable to get metrics for resource ${name}`, () => source.resource(ask));
  const { averageValue, averageUtilization } = target;
  if (averageValue !== undefined) {
    const { replicas, usage } = await failing(`failed to get ${name} usage`, async () =>
      averageReplicas(context, { metrics: await metrics(), current, resource: name, target: milliOf(averageValue) }),
    );
    return { replicas, name: `${name} resource`, current: { averageValue: printMilli(usage, name) } };
  }
  if (averageUtilization === undefined)
    throw new MetricError(
      "invalid resource metric source: neither an average utilization target nor an average value (usage) target was set",
    );
  const { replicas, usage, utilization } = await failing(`failed to get ${name} utilization`, async () =>
    utilizationReplicas(context, { ...ask, metrics: await metrics(), current, target: averageUtilization }),
  );
  const what = container === undefined ? "resource" : "container resource";
  return {
    replicas,
    name: `${name} ${what} utilization (percentage of request)`,
    current: {
      ...(utilization !== undefined && { averageUtilization: utilization }),
      averageValue: printMilli(usage, name),
    },
  };
}

const kinds: Readonly<Record<string, Kind>> = {
  Resource: {
    reason: "FailedGetResourceMetric",
    wrap: ({ resource }) => `failed to get ${resource?.name} resource metric value`,
    async measure({ type, resource }, context) {
      const spec = given(resource);
      const { current, ...found } = await measureResource(spec, context);
      return { ...found, status: { type, resource: { name: spec.name, current } } };
    },
  },
  ContainerResource: {
    reason: "FailedGetContainerResourceMetric",
    wrap: ({ containerResource }) => `failed to get ${containerResource?.container} container metric value`,
    async measure({ type, containerResource }, context) {
      const { name, container, target } = given(containerResource);
      const { current, ...found } = await measureResource({ name, container, target }, context);
      return { ...found, status: { type, containerResource: { name, container, current } } };
    },
  },
  Pods: {
    reason: "FailedGetPodsMetric",
    wrap: () => "failed to get pods metric value",
    async measure({ type, pods }, context) {
      const { metric, target } = given(pods);
      const { source, namespace, selector, specReplicas: current } = context;
      const metrics = await failing(`unable to get metric ${metric.name}`, () =>
        source.pods({ namespace, selector, metric }),
      );
      const input = { metrics, current, resource: "", target: milliOf(target.averageValue ?? "0") };
      const { replicas, usage } = averageReplicas(context, input);
      const status = { type, pods: { metric: identifier(metric), current: { averageValue: printMilli(usage) } } };
      return { replicas, name: `pods metric ${metric.name}`, status };
    },
  },
  Object: {
    reason: "FailedGetObjectMetric",
    wrap: () => "failed to get object metric value",
    async measure({ type, object }, context) {
      const { metric, target, describedObject } = given(object);
      const { source, namespace, specReplicas, statusReplicas } = context;
      const { kind, name } = describedObject;
      const ask = async () => {
        try {
          return await source.object({ namespace, about: describedObject, metric });
        } catch (error) {
          // In this order upstream.
          const why = error instanceof Error ? error.message : String(error);
          throw new MetricError(`unable to get metric ${metric.name}: ${kind} on ${namespace} ${name}/${why}`);
        }
      };
      const shown = (current: MetricValueStatus): MetricStatus => ({
        type,
        object: { metric: identifier(metric), current, describedObject },
      });
      if (target.type === "Value" && target.value !== undefined) {
        const input = { usage: await ask(), target: milliOf(target.value), current: specReplicas };
        const { replicas, usage } = totalReplicas(context, input);
        return { replicas, name: `${kind} metric ${metric.name}`, status: shown({ value: printMilli(usage) }) };
      }
      if (target.type === "AverageValue" && target.averageValue !== undefined) {
        const usage = await namedFailing(`failed to get ${metric.name} object metric`, ask);
        const input = { usage, target: milliOf(target.averageValue), current: statusReplicas };
        const found = sharedReplicas(context, input);
        const status = shown({ averageValue: printMilli(found.usage) });
        return { replicas: found.replicas, name: externalName(metric), status };
      }
      throw new MetricError("invalid object metric source: neither a value target nor an average value target was set");
    },
  },
  External: {
    reason: "FailedGetExternalMetric",
    wrap: ({ external }) => `failed to get ${external?.metric.name} external metric value`,
    async measure({ type, external }, context) {
      const { metric, target } = given(external);
      const { source, namespace, specReplicas, statusReplicas } = context;
      const what = `unable to get external metric ${namespace}/${metric.name}/${goLabelSelector(metric.selector)}`;
      const ask = async () => sumOf(await failing(what, () => source.external({ namespace, metric })));
      const shown = (current: MetricValueStatus): MetricStatus => ({
        type,
        external: { metric: identifier(metric), current },
      });
      const { value, averageValue } = target;
      if (averageValue !== undefined) {
        const { replicas, usage } = await namedFailing(`failed to get ${metric.name} external metric`, async () =>
          sharedReplicas(context, { usage: await ask(), target: milliOf(averageValue), current: statusReplicas }),
        );
        return { replicas, name: externalName(metric), status: shown({ averageValue: printMilli(usage) }) };
      }
      if (value !== undefined) {
        const { replicas, usage } = await namedFailing(`failed to get external metric ${metric.name}`, async () =>
          totalReplicas(context, { usage: await ask(), target: milliOf(value), current: specReplicas }),
        );
        return { replicas, name: externalName(metric), status: shown({ value: printMilli(usage) }) };
      }
      throw new MetricError(
        "invalid external metric source: neither a value target nor an average value target was set",
      );
    },
  },
};

const externalName = ({ name, selector }: Seen<{ name: string; selector?: LabelSelector }>): string =>
  `external metric ${name}(${goLabelSelector(selector)})`;

/** The API refuses metrics without what their type names. */
function given<T>(source: T | undefined): T {
  if (source === undefined) throw new MetricError("the metric lacks its source");
  return source;
}
