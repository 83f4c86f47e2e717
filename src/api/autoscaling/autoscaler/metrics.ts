/** What an autoscaler looks at: one source each, and what its value should be. */
import { isDns1123Label, quantitySign } from "#machinery";
import type { Place } from "../../place.ts";
import { validateContainerResourceName } from "../../resource-names.ts";
import type { MetricIdentifier, MetricSpec, MetricTarget } from "../../types.d.ts";
import { type ReferenceRules, validateReference, validateSegment } from "./reference.ts";

const types = ["ContainerResource", "External", "Object", "Pods", "Resource"];
const targetTypes = ["Utilization", "Value", "AverageValue"];

/** In the order in which upstream looks for them; only the first is checked. */
const sources = ["object", "external", "pods", "resource", "containerResource"] as const;
type Source = (typeof sources)[number];

const sourceOf: Readonly<Record<string, Source>> = {
  Object: "object",
  External: "external",
  Pods: "pods",
  Resource: "resource",
  ContainerResource: "containerResource",
};

export function validateMetric(metric: MetricSpec, at: Place, rules: ReferenceRules): void {
  const { type = "" } = metric;
  const typeAt = at.child("type");
  if (type === "") typeAt.required("must specify a metric source type");
  if (!types.includes(type)) typeAt.notSupported(type, types);
  const present = sources.filter((source) => metric[source]);
  const [first] = present;
  if (first) validateSource(metric, at.child(first), { source: first, rules });
  const expected = types.includes(type) ? sourceOf[type] : undefined;
  if (!expected) typeAt.notSupported(type, types);
  else if (!metric[expected]) at.child(expected).required("must populate information for the given metric source");
  if (present.length < 2) return;
  for (const source of present) {
    if (source !== expected) at.child(source).forbidden("must populate the given metric source only");
  }
}

function validateSource(
  metric: MetricSpec,
  at: Place,
  { source, rules }: { source: Source; rules: ReferenceRules },
): void {
  const { object, external, pods, resource, containerResource } = metric;
  const targetAt = at.child("target");
  if (source === "object" && object) {
    validateReference(object.describedObject ?? { kind: "", name: "" }, at.child("describedObject"), rules);
    validateIdentifier(object.metric, at.child("metric"));
    const { value, averageValue } = validateTarget(object.target, targetAt);
    if (value === undefined && averageValue === undefined) {
      targetAt.child("averageValue").required("must set either a target value or averageValue");
    }
  } else if (source === "external" && external) {
    validateIdentifier(external.metric, at.child("metric"));
    const { value, averageValue } = validateTarget(external.target, targetAt);
    if (value === undefined && averageValue === undefined) {
      targetAt.child("averageValue").required("must set either a target value for metric or a per-pod target");
    }
    if (value !== undefined && averageValue !== undefined) {
      targetAt.child("value").forbidden("may not set both a target value for metric and a per-pod target");
    }
  } else if (source === "pods" && pods) {
    validateIdentifier(pods.metric, at.child("metric"));
    const { averageValue } = validateTarget(pods.target, targetAt);
    if (averageValue === undefined) {
      targetAt.child("averageValue").required("must specify a positive target averageValue");
    }
  } else if (source === "resource" && resource) {
    if (!resource.name) at.child("name").required("must specify a resource name");
    validateResourceTarget(resource.target, targetAt);
  } else if (containerResource) {
    const { name = "", container = "", target } = containerResource;
    if (name === "") at.child("name").required("must specify a resource name");
    else validateContainerResourceName(name, at.child("name"));
    if (container === "") at.child("container").required("must specify a container");
    else at.child("container").invalidEach(container, isDns1123Label(container));
    validateResourceTarget(target, targetAt);
  }
}

const validateIdentifier = (metric: MetricIdentifier | undefined, at: Place): void =>
  validateSegment(metric?.name ?? "", at.child("name"), "must specify a metric name");

function validateResourceTarget(target: MetricTarget | undefined, at: Place): void {
  const { averageValue, averageUtilization } = validateTarget(target, at);
  if (averageUtilization === undefined && averageValue === undefined) {
    at.child("averageUtilization").required("must set either a target raw value or a target utilization");
  }
  if (averageUtilization !== undefined && averageValue !== undefined) {
    at.child("averageValue").forbidden("may not set both a target raw value and a target utilization");
  }
}

/** Answers the target, for what is particular to its source. */
function validateTarget(target: MetricTarget = { type: "" }, at: Place): MetricTarget {
  const { type = "", value, averageValue, averageUtilization } = target;
  const typeAt = at.child("type");
  if (type === "") typeAt.required("must specify a metric target type");
  if (!targetTypes.includes(type)) typeAt.invalid(type, "must be either Utilization, Value, or AverageValue");
  if (value !== undefined && quantitySign(value) <= 0) at.child("value").invalid(value, "must be positive");
  if (averageValue !== undefined && quantitySign(averageValue) <= 0) {
    at.child("averageValue").invalid(averageValue, "must be positive");
  }
  if (averageUtilization !== undefined && averageUtilization < 1) {
    at.child("averageUtilization").invalid(averageUtilization, "must be greater than 0");
  }
  return target;
}
