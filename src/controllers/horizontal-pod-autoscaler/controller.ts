/**
 * Gives workloads as many replicas as their metrics ask for. Every autoscaler comes round by a timer of its own, 15 s after it was seen or
 * done with (the period that users of upstream count on: metrics don't tell when they move); nothing is listed, and metrics are asked for
 * only of the pods concerned.
 */
import type { Scale } from "#api";
import { keyOf, type WorkQueue } from "#client";
import { isStatusError, type LabelMatcher, parseLabelSelector, SelectorError, semanticEqual } from "#machinery";
import { type Controller, defineController, watch } from "../lib/controller.ts";
import { nameOf, namespaceOf, type Seen } from "../lib/objects.ts";
import type { SeenPod } from "../lib/pods.ts";
import { messageOf } from "../lib/pod-control.ts";
import { indexPodsByLabel, podsMatching } from "../lib/pods-by-label.ts";
import { createKindFinder, type GroupKind } from "./kind-finder.ts";
import { type History, newHistory, recordChange } from "./limits.ts";
import { type Measured, measure } from "./measure.ts";
import { createMetricsSource } from "./metrics-source.ts";
import { createMonitor, directionOf, type Failure, type Outcome } from "./monitor.ts";
import {
  combine,
  planFromMetrics,
  planWithoutMetrics,
  rescaled,
  Review,
  rulesOf,
  type SeenAutoscaler,
  settingsDefault,
  tolerancesOf,
  unableToGetScale,
  unableToRescale,
} from "./reconcile.ts";

type ScaleClient = ReturnType<typeof scalesOf>;
/** Somebody else may write the scale too. */
const scaleAttempts = 5;

export const horizontalPodAutoscalerController: Controller = defineController({
  name: "horizontal-pod-autoscaler-controller",
  account: "horizontal-pod-autoscaler",
  create({ client, informers, events, clock, log, metrics: registry, options }) {
    const settings = { ...settingsDefault, ...options.autoscaling };
    const autoscalers = informers.of("autoscaling/v2/horizontalpodautoscalers");
    const pods = informers.of("v1/pods");
    indexPodsByLabel(pods);
    const kinds = createKindFinder(client);
    const source = createMetricsSource(client, { kinds, now: () => clock.now(), refreshMs: settings.syncMs });
    const monitor = createMonitor(registry, { clock, count: () => autoscalers.list().length });
    const histories = new Map<string, History>();
    /** Which pods an autoscaler is about, by namespace and name; known once it was looked at. */
    const selections = new Map<string, Map<string, LabelMatcher>>();

    const forget = (key: string) => {
      histories.delete(key);
      const [namespace = "", name = ""] = key.split("/");
      monitor.gone({ namespace, name });
      const own = selections.get(namespace);
      if (own?.delete(name) && own.size === 0) selections.delete(namespace);
    };

    async function look(key: string, autoscaler: SeenAutoscaler): Promise<void> {
      const review = new Review(autoscaler, clock.now());
      const done = monitor.reconciliation();
      let outcome: Outcome = { action: "none", failure: "internal" };
      try {
        outcome = await decide(key, review);
      } finally {
        done(outcome);
        for (const event of review.events) events.event(autoscaler, event);
      }
      if (semanticEqual(autoscaler.status, review.status)) return;
      const own = client.resource("autoscaling/v2/horizontalpodautoscalers", namespaceOf(autoscaler));
      try {
        await own.updateStatus({ ...autoscaler, status: review.status } as Parameters<typeof own.updateStatus>[0]); // sent, never changed
      } catch (error) {
        events.event(autoscaler, { type: "Warning", reason: "FailedUpdateStatus", message: messageOf(error) });
        throw new Error(`failed to update status for ${nameOf(autoscaler)}: ${messageOf(error)}`);
      }
    }

    const failed = (failure: Failure): Outcome => ({ action: "none", failure });

    async function decide(key: string, review: Review): Promise<Outcome> {
      const { autoscaler, now } = review;
      const { kind, name, apiVersion = "" } = autoscaler.spec.scaleTargetRef;
      const target = groupOf(apiVersion);
      if (target === undefined) {
        unableToGetScale(review, `unexpected GroupVersion string: ${apiVersion}`);
        return failed("spec");
      }
      const found = await findScale({ group: target, kind }, { namespace: namespaceOf(autoscaler), name });
      if ("problem" in found) {
        unableToGetScale(review, found.problem);
        return failed("internal");
      }
      const { scale, scales } = found;
      const message = "the HPA controller was able to get the target's current scale";
      review.condition("AbleToScale", true, { reason: "SucceededGetScale", message });
      const current = scale.spec?.replicas ?? 0;
      const history = histories.get(key) ?? newHistory(current, now);
      histories.set(key, history);

      let plan = planWithoutMetrics(review, current, settings);
      let metrics: Counts["metrics"];
      let failure: Failure = "none";
      if (plan.type === "measure") {
        const measured = await measureAll(review, scale);
        if (typeof measured === "string") {
          review.count({ current, metrics: undefined, rescaled: false });
          review.warn("FailedComputeMetricsReplicas", measured);
          return failed("internal");
        }
        const { wanted, statuses, problem } = combine(review, current, measured);
        metrics = statuses;
        if (!wanted) {
          review.count({ current, metrics, rescaled: false });
          review.warn("FailedComputeMetricsReplicas", problem ?? "");
          return failed("internal");
        }
        if (problem) {
          log.debug("some metrics of an autoscaler fail", { key, problem });
          failure = "internal";
        }
        plan = planFromMetrics(review, { current, wanted, history }, settings);
      }
      const who = { namespace: namespaceOf(autoscaler), name: nameOf(autoscaler) };
      if (plan.type !== "scale") {
        review.count({ current, desired: current, metrics, rescaled: false });
        monitor.desired(who, current);
        return { action: "none", failure };
      }
      const { to, why } = plan;
      const problem = await writeScale(scales, scale, to);
      if (problem !== undefined) {
        unableToRescale(review, { to, why, error: problem });
        review.count({ current, metrics, rescaled: false });
        return failed("internal");
      }
      rescaled(review, { from: current, to, why }, settings);
      const rules = rulesOf(autoscaler);
      if (rules) recordChange(history, { from: current, to, now }, rules);
      review.count({ current, desired: to, metrics, rescaled: true });
      monitor.desired(who, to);
      return { action: directionOf(current, to), failure };
    }

    /** A text: why nothing can be measured at all. */
    async function measureAll(review: Review, scale: Seen<Scale>): Promise<Measured[] | string> {
      const { autoscaler, now } = review;
      const namespace = namespaceOf(autoscaler);
      const selector = scale.status?.selector ?? "";
      const selected = select(review, selector);
      if (typeof selected === "string") return selected;
      const context = {
        source,
        namespace,
        selector,
        pods: selected,
        specReplicas: scale.spec?.replicas ?? 0,
        statusReplicas: scale.status?.replicas ?? 0,
        tolerances: tolerancesOf(autoscaler, settings),
        cpuInitializationMs: settings.cpuInitializationMs,
        initialReadinessMs: settings.initialReadinessMs,
        now,
      };
      const before = autoscaler.status?.currentReplicas ?? 0;
      return Promise.all(
        (autoscaler.spec.metrics ?? []).map(async (spec) => {
          const done = monitor.computation(spec.type);
          const measured = await measure(spec, context);
          done(measured.ok ? { action: directionOf(before, measured.replicas), failure: "none" } : failed("internal"));
          return measured;
        }),
      );
    }

    /** The pods, or why they can't be told. Those that two autoscalers would count are nobody's. */
    function select(review: Review, text: string): readonly SeenPod[] | string {
      const { autoscaler } = review;
      const namespace = namespaceOf(autoscaler);
      const refuse = (event: string, reason: string, [said, shown = said]: readonly [string, string?]) => {
        review.warn(event, said);
        review.condition("ScalingActive", false, { reason, message: shown });
        return said;
      };
      if (text === "")
        return refuse("SelectorRequired", "InvalidSelector", [
          "selector is required",
          "the HPA target's scale is missing a selector",
        ]);
      let selector: LabelMatcher;
      try {
        selector = parseLabelSelector(text);
      } catch (error) {
        if (!(error instanceof SelectorError)) throw error;
        const said = `couldn't convert selector into a corresponding internal selector object: ${error.message}`;
        return refuse("InvalidSelector", "InvalidSelector", [said]);
      }
      const known = selections.get(namespace) ?? new Map<string, LabelMatcher>();
      selections.set(namespace, known.set(nameOf(autoscaler), selector));
      const own = podsMatching(pods, namespace, selector);
      const others = [...known].filter(([, each]) => own.some((pod) => each.matches(pod.metadata.labels)));
      if (others.length <= 1) return own;
      const names = others.map(([name]) => `{${name} ${namespace}}`).sort();
      const said = `pods by selector ${text} are controlled by multiple HPAs: [${names.join(" ")}]`;
      return refuse("AmbiguousSelector", "AmbiguousSelector", [said]);
    }

    async function findScale(
      kind: GroupKind,
      { namespace, name }: { namespace: string; name: string },
    ): Promise<{ scale: Seen<Scale>; scales: ScaleClient } | { problem: string }> {
      try {
        const scales = scalesOf(client.resource(await kinds.scalable(kind), namespace), name);
        return { scales, scale: await scales.get() };
      } catch (error) {
        kinds.forget(kind);
        return { problem: messageOf(error) };
      }
    }

    return [
      {
        watches(queue: WorkQueue) {
          const mark = (autoscaler: SeenAutoscaler) => queue.addAfter(keyOf(autoscaler), settings.syncMs);
          return [watch(autoscalers, { added: mark, updated: mark, deleted: (gone) => forget(keyOf(gone)) })];
        },
        reads: [pods],
        async reconcile(key, queue) {
          const autoscaler = autoscalers.get(key);
          if (!autoscaler) return forget(key);
          try {
            await look(key, autoscaler);
          } catch (error) {
            // The next round comes soon enough, and always.
            log.warn("an autoscaler could not be served", { key, error });
          }
          queue.addAfter(key, settings.syncMs);
        },
      },
    ];
  },
});

type Counts = Parameters<Review["count"]>[0];

function scalesOf(
  own: {
    getSubresource<S>(name: string, subresource: string): Promise<Seen<S>>;
    updateSubresource<S>(name: string, subresource: string, object: S): Promise<unknown>;
  },
  name: string,
) {
  return {
    get: () => own.getSubresource<Scale>(name, "scale"),
    put: (scale: Seen<Scale>) => own.updateSubresource(name, "scale", scale),
  };
}

/** Answers what went wrong. */
async function writeScale(scales: ScaleClient, seen: Seen<Scale>, replicas: number): Promise<string | undefined> {
  let scale = seen;
  for (let attempt = 1; ; attempt++) {
    try {
      await scales.put({ ...scale, spec: { ...scale.spec, replicas } });
      return undefined;
    } catch (error) {
      if (!isStatusError(error, "Conflict") || attempt === scaleAttempts) return messageOf(error);
    }
    try {
      scale = await scales.get();
    } catch (error) {
      return messageOf(error);
    }
  }
}

/** Undefined: can't be read. */
function groupOf(apiVersion: string): string | undefined {
  const parts = apiVersion.split("/");
  return parts.length > 2 ? undefined : parts.length === 2 ? parts[0] : "";
}
