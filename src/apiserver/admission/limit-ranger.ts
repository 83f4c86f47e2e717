/** LimitRanges of a namespace: defaults for containers that say nothing, bounds for all. Upstream's LimitRanger. */
import type { Container, LimitRange, LimitRangeItem, PersistentVolumeClaim, Pod, PodSpec } from "#api";
import type { DeepReadonly } from "#machinery";
import type { AdmissionPlugin, AdmissionRequest, Lookup } from "./chain.ts";
import { claimViolations, podViolations } from "./limit-rules.ts";
import { isResource, refuse } from "./refuse.ts";

const annotation = "kubernetes.io/limit-ranger";

const isPod = (request: Pick<AdmissionRequest, "resource" | "subresource">): boolean =>
  isResource(request.subresource === "resize" ? { ...request, subresource: "" } : request, "", "pods");

export const limitRanger: AdmissionPlugin = {
  name: "LimitRanger",
  handles: (request) =>
    (isPod(request) && (request.operation === "CREATE" || request.subresource === "resize")) ||
    (isResource(request, "", "persistentvolumeclaims") &&
      (request.operation === "CREATE" || request.operation === "UPDATE")),
  async mutate(request, lookup) {
    if (!isPod(request)) return;
    const ranges = await rangesOf(request, lookup);
    for (const range of ranges) setDefaults(request.object as Pod, range); // pods only
  },
  async validate(request, lookup) {
    if (request.old?.metadata?.deletionTimestamp !== undefined) return;
    for (const range of await rangesOf(request, lookup)) {
      const violations = (range.spec?.limits ?? []).flatMap((limit) => violationsOf(request, limit));
      if (violations.length === 0) continue;
      const texts = [...new Set(violations)];
      throw refuse(request, texts.length === 1 ? texts.join() : `[${texts.join(", ")}]`);
    }
  },
};

const rangesOf = ({ namespace }: AdmissionRequest, lookup: Lookup): Promise<readonly DeepReadonly<LimitRange>[]> =>
  lookup.list<LimitRange>(lookup.kind("", "limitranges"), namespace);

function violationsOf(request: AdmissionRequest, limit: DeepReadonly<LimitRangeItem>): string[] {
  if (!isPod(request)) return claimViolations(request.object as PersistentVolumeClaim, limit);
  const { spec } = request.object as Pod; // one of the two
  return spec ? podViolations(spec, limit) : [];
}

function setDefaults(pod: Pod, range: DeepReadonly<LimitRange>): void {
  const { spec, metadata } = pod;
  const limits = range.spec?.limits?.filter(({ type }) => type === "Container") ?? [];
  if (!spec || limits.length === 0) return;
  const requests = Object.assign({}, ...limits.map(({ defaultRequest }) => defaultRequest));
  const maxima = Object.assign({}, ...limits.map((limit) => limit.default));
  const notes = [
    ...containersOf(spec, "containers").flatMap((each) => complete(each, { requests, maxima, what: "container" })),
    ...containersOf(spec, "initContainers").flatMap((each) =>
      complete(each, { requests, maxima, what: "init container" }),
    ),
  ];
  if (notes.length === 0) return;
  metadata.annotations = { ...metadata.annotations, [annotation]: `LimitRanger plugin set: ${notes.join("; ")}` };
}

const containersOf = (spec: PodSpec, field: "containers" | "initContainers"): Container[] => spec[field] ?? [];

interface Defaults {
  readonly requests: Readonly<Record<string, string>>;
  readonly maxima: Readonly<Record<string, string>>;
  readonly what: string;
}

/** Fills in what the container leaves open and answers what it did, in upstream's words. */
function complete(container: Container, { requests, maxima, what }: Defaults): string[] {
  const resources = container.resources ?? {};
  container.resources = resources;
  const missing = (defaults: Readonly<Record<string, string>>, own: object | undefined) =>
    Object.keys(defaults)
      .filter((name) => !own || !(name in own))
      .sort();
  const newLimits = missing(maxima, resources.limits);
  const newRequests = missing(requests, resources.requests);
  const pick = (defaults: Readonly<Record<string, string>>, names: readonly string[]) =>
    Object.fromEntries(names.map((name) => [name, defaults[name] ?? ""]));
  if (newLimits.length > 0) resources.limits = { ...resources.limits, ...pick(maxima, newLimits) };
  if (newRequests.length > 0) resources.requests = { ...resources.requests, ...pick(requests, newRequests) };
  return [
    ...(newRequests.length > 0 ? [`${newRequests.join(", ")} request for ${what} ${container.name}`] : []),
    ...(newLimits.length > 0 ? [`${newLimits.join(", ")} limit for ${what} ${container.name}`] : []),
  ];
}
