/** Arguments of rules (`pluginConfig`): defaults and upstream's checks. */
import type { NodeAffinity, TopologySpreadConstraint } from "#api";
import { type FieldError, type FieldPath, fieldError, isQualifiedName } from "#machinery";
import { defaultArguments, type PluginArguments } from "./core/default-plugins.ts";
import type { ResourceWeight, ShapePoint } from "./core/plugins/node-resources.ts";

type Given = Readonly<Record<string, unknown>>;
type Problems = FieldError[];

const strategies = ["LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"] as const;
const scoreMax = 10;

interface Argument<K extends keyof PluginArguments> {
  /** What was given over what is usual. */
  fill(given: Given): PluginArguments[K];
  check(args: PluginArguments[K], path: FieldPath, problems: Problems): void;
}

const range = (value: number, min: number, max: number) => value >= min && value <= max;
const withWeights = (
  resources: readonly Partial<ResourceWeight>[] | undefined,
): readonly ResourceWeight[] | undefined =>
  resources && resources.length > 0
    ? resources.map(({ name = "", weight }) => ({ name, weight: weight || 1 }))
    : undefined;

function checkShape(shape: readonly ShapePoint[], path: FieldPath, problems: Problems): void {
  if (shape.length === 0) problems.push(fieldError.required(path, "at least one point must be specified"));
  const unsorted = shape.findIndex(
    ({ utilization }, index) => utilization <= (shape[index - 1]?.utilization ?? -Infinity),
  );
  if (unsorted > 0) {
    const at = path.index(unsorted).child("utilization");
    problems.push(fieldError.invalid(at, shape[unsorted]?.utilization, "values must be sorted in increasing order"));
  }
  for (const [index, { utilization, score }] of shape.entries()) {
    const at = path.index(index);
    if (!range(utilization, 0, 100)) {
      problems.push(fieldError.invalid(at.child("utilization"), utilization, "not in valid range [0, 100]"));
    }
    if (!range(score, 0, scoreMax)) {
      problems.push(fieldError.invalid(at.child("score"), score, `not in valid range [0, ${scoreMax}]`));
    }
  }
}

function checkLabelName(name: string, path: FieldPath, problems: Problems): void {
  for (const problem of isQualifiedName(name)) problems.push(fieldError.invalid(path, name, problem));
}

export const pluginArguments: { readonly [K in keyof PluginArguments]: Argument<K> } = {
  DefaultPreemption: {
    fill: (given) => ({ ...defaultArguments.DefaultPreemption, ...given }),
    check({ minCandidateNodesPercentage: percentage, minCandidateNodesAbsolute: absolute }, path, problems) {
      const [percentagePath, absolutePath] = [
        path.child("minCandidateNodesPercentage"),
        path.child("minCandidateNodesAbsolute"),
      ];
      if (!range(percentage, 0, 100)) {
        problems.push(fieldError.invalid(percentagePath, percentage, "not in valid range [0, 100]"));
      }
      if (absolute < 0) problems.push(fieldError.invalid(absolutePath, absolute, "not in valid range [0, inf)"));
      if (percentage === 0 && absolute === 0) {
        const both = "cannot be zero at the same time as";
        problems.push(
          fieldError.invalid(percentagePath, 0, `${both} minCandidateNodesAbsolute`),
          fieldError.invalid(absolutePath, 0, `${both} minCandidateNodesPercentage`),
        );
      }
    },
  },
  InterPodAffinity: {
    fill: (given) => ({ ...defaultArguments.InterPodAffinity, ...given }),
    check({ hardPodAffinityWeight: weight }, path, problems) {
      if (range(weight, 0, 100)) return;
      problems.push(fieldError.invalid(path.child("hardPodAffinityWeight"), weight, "not in valid range [0, 100]"));
    },
  },
  NodeAffinity: {
    fill: ({ addedAffinity }) => (addedAffinity ? { addedAffinity: addedAffinity as NodeAffinity } : {}), // checked below
    check({ addedAffinity }, path, problems) {
      const required = addedAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
      const at = path.child("addedAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms");
      for (const [index, { matchExpressions = [] }] of (required?.nodeSelectorTerms ?? []).entries()) {
        for (const [position, { key, operator, values }] of matchExpressions.entries()) {
          const here = at.index(index).child("matchExpressions").index(position);
          checkLabelName(key, here.child("key"), problems);
          const [isRight, message] = operators[operator] ?? [];
          if (message === undefined) {
            problems.push(fieldError.notSupported(here.child("operator"), operator, Object.keys(operators)));
          } else if (!isRight?.(values?.length ?? 0))
            problems.push(fieldError.invalid(here.child("values"), values ?? null, message));
        }
      }
    },
  },
  NodeResourcesBalancedAllocation: {
    fill: ({ resources }) => ({
      resources:
        withWeights(resources as readonly ResourceWeight[]) ?? // of that shape
        defaultArguments.NodeResourcesBalancedAllocation.resources,
    }),
    check({ resources }, path, problems) {
      const seen = new Set<string>();
      for (const [index, { name, weight }] of resources.entries()) {
        const at = path.child("resources").index(index);
        if (seen.has(name)) problems.push(fieldError.duplicate(at.child("name"), name));
        seen.add(name);
        if (weight !== 1) problems.push(fieldError.invalid(at.child("weight"), weight, "must be 1"));
      }
    },
  },
  NodeResourcesFit: {
    fill(given) {
      const usual = defaultArguments.NodeResourcesFit;
      const strategy = given.scoringStrategy as Partial<typeof usual.scoringStrategy> | undefined; // of that shape
      const resources = withWeights(strategy?.resources) ?? usual.scoringStrategy.resources;
      const { type } = usual.scoringStrategy;
      // A strategy without a type has none.
      const scoringStrategy = strategy
        ? { ...strategy, type: strategy.type ?? ("" as typeof type), resources }
        : usual.scoringStrategy;
      return { ...usual, ...given, scoringStrategy };
    },
    check({ ignoredResources, ignoredResourceGroups, scoringStrategy }, path, problems) {
      for (const [index, name] of ignoredResources.entries()) {
        checkLabelName(name, path.child("ignoredResources").index(index), problems);
      }
      for (const [index, group] of ignoredResourceGroups.entries()) {
        const at = path.child("ignoredResourceGroups").index(index);
        if (group.includes("/")) problems.push(fieldError.invalid(at, group, "resource group name can't contain '/'"));
        checkLabelName(group, at, problems);
      }
      const at = path.child("scoringStrategy");
      const { type, resources, requestedToCapacityRatio: ratio } = scoringStrategy;
      if (!strategies.includes(type)) problems.push(fieldError.notSupported(at.child("type"), type, strategies));
      for (const [index, { name, weight }] of resources.entries()) {
        if (range(weight, 1, 100)) continue;
        const message = `resource weight of ${name} not in valid range (0, 100]`;
        problems.push(fieldError.invalid(at.child("resources").index(index).child("weight"), weight, message));
      }
      const ratioPath = at.child("requestedToCapacityRatio");
      if (type === "RequestedToCapacityRatio") {
        if (ratio) checkShape(ratio.shape ?? [], ratioPath.child("shape"), problems);
        else problems.push(fieldError.required(ratioPath, "must be specified when type is RequestedToCapacityRatio"));
      } else if (ratio) {
        problems.push(fieldError.forbidden(ratioPath, "must be nil when type is not RequestedToCapacityRatio"));
      }
    },
  },
  PodTopologySpread: {
    fill: (given) => ({ ...defaultArguments.PodTopologySpread, ...given }),
    check({ defaultingType, defaultConstraints }, path, problems) {
      const at = path.child("defaultingType");
      const list = path.child("defaultConstraints");
      if (defaultingType !== "System" && defaultingType !== "List") {
        problems.push(fieldError.notSupported(at, defaultingType, ["System", "List"]));
      } else if (defaultingType === "System" && defaultConstraints.length > 0) {
        problems.push(fieldError.invalid(at, defaultingType, "when .defaultConstraints are not empty"));
      }
      for (const [index, constraint] of defaultConstraints.entries()) {
        checkConstraint(constraint as TopologySpreadConstraint, list.index(index), problems); // read only
        const { topologyKey, whenUnsatisfiable } = constraint;
        const isRepeated = defaultConstraints
          .slice(0, index)
          .some((other) => other.topologyKey === topologyKey && other.whenUnsatisfiable === whenUnsatisfiable);
        if (isRepeated)
          problems.push(fieldError.duplicate(list.index(index), `{${topologyKey}, ${whenUnsatisfiable}}`));
      }
    },
  },
  VolumeBinding: {
    fill: (given) => ({ ...defaultArguments.VolumeBinding, ...given }),
    check({ bindTimeoutSeconds: seconds, ...rest }, path, problems) {
      if (seconds < 0) {
        const message = "invalid BindTimeoutSeconds, should not be a negative value";
        problems.push(fieldError.invalid(path.child("bindTimeoutSeconds"), seconds, message));
      }
      if ("shape" in rest) {
        const message = "unexpected field `shape`, remove it or turn on the feature gate StorageCapacityScoring";
        const shape = (rest.shape as readonly ShapePoint[]).map(({ utilization, score }) => ({
          Utilization: utilization,
          Score: score,
        })); // of that shape
        problems.push(fieldError.invalid(path.child("shape"), shape, message));
      }
    },
  },
};

/** By operator of node selectors, how many values it takes. */
const some = [(count: number) => count > 0, "for 'in', 'notin' operators, values set can't be empty"] as const;
const none = [(count: number) => count === 0, "values set must be empty for exists and does not exist"] as const;
const one = [(count: number) => count === 1, "for 'Gt', 'Lt' operators, exactly one value is required"] as const;
const operators: Readonly<Record<string, readonly [(count: number) => boolean, string]>> = {
  In: some,
  NotIn: some,
  Exists: none,
  DoesNotExist: none,
  Gt: one,
  Lt: one,
};

function checkConstraint(constraint: TopologySpreadConstraint, path: FieldPath, problems: Problems): void {
  const { maxSkew, topologyKey = "", whenUnsatisfiable = "", labelSelector } = constraint;
  const actions = ["DoNotSchedule", "ScheduleAnyway"];
  if (!(maxSkew > 0))
    problems.push(fieldError.invalid(path.child("maxSkew"), maxSkew ?? 0, "not in valid range (0, inf)"));
  if (topologyKey === "") problems.push(fieldError.required(path.child("topologyKey"), "can not be empty"));
  else checkLabelName(topologyKey, path.child("topologyKey"), problems);
  const at = path.child("whenUnsatisfiable");
  if (whenUnsatisfiable === "") problems.push(fieldError.required(at, "can not be empty"));
  else if (!actions.includes(whenUnsatisfiable)) problems.push(fieldError.notSupported(at, whenUnsatisfiable, actions));
  if (labelSelector) {
    const message = "constraint must not define a selector, as they deduced for each pod";
    problems.push(fieldError.forbidden(path.child("labelSelector"), message));
  }
}
