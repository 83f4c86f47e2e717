/** Policies with their bindings, compiled when they change. A policy that nothing binds concerns nobody and isn't compiled. */
import {
  ExpressionCompiler,
  loadCel,
  type MatchResources,
  type MutatingAdmissionPolicy,
  type MutatingAdmissionPolicyBinding,
  type ValidatingAdmissionPolicy,
  type ValidatingAdmissionPolicyBinding,
} from "#api";
import { assert } from "#base";
import type { DeepReadonly, KubernetesObject } from "#machinery";
import type { ResourceCache } from "../../cache/resource-cache.ts";
import type { WatchCaches } from "../../cache/watch-caches.ts";
import type { ResourceTable } from "../../resource.ts";
import { compileConstraints, type Constraints } from "./constraints.ts";

type Policy = ValidatingAdmissionPolicy | MutatingAdmissionPolicy;
type Binding = ValidatingAdmissionPolicyBinding | MutatingAdmissionPolicyBinding;

export interface BoundPolicy<P extends KubernetesObject, B extends KubernetesObject, C> {
  readonly policy: DeepReadonly<P>;
  readonly constraints: Constraints;
  readonly bindings: readonly { readonly binding: DeepReadonly<B>; readonly constraints: Constraints | undefined }[];
  readonly compiled: C;
}

export interface PolicySource<P extends KubernetesObject, B extends KubernetesObject, C> {
  /** Whether there may be policies: false costs a write nothing. */
  any(): boolean;
  bound(): Promise<readonly BoundPolicy<P, B, C>[]>;
}

export interface PolicySourceOptions<P, C> {
  readonly table: ResourceTable;
  readonly caches: WatchCaches;
  readonly policies: string;
  readonly bindings: string;
  /** The engine is loaded. */
  readonly compile: (policy: DeepReadonly<P>) => C;
}

export function createPolicySource<P extends Policy, B extends Binding, C>(
  options: PolicySourceOptions<P, C>,
): PolicySource<P, B, C> {
  const { table, caches } = options;
  const cacheOf = (resource: string): ResourceCache | Promise<ResourceCache> => {
    const kind = table.stored("admissionregistration.k8s.io", resource);
    assert(kind, `${resource} is a built-in kind`);
    return caches.of(kind);
  };
  let kept: { from: string; bound: readonly BoundPolicy<P, B, C>[] } | undefined;
  /** By name, those of the last time. */
  let compiled = new Map<string, { readonly revision: number; readonly value: C }>();

  async function bind(policies: ResourceCache, bindings: ResourceCache): Promise<readonly BoundPolicy<P, B, C>[]> {
    const from = `${policies.changedAt} ${bindings.changedAt}`;
    if (kept?.from === from) return kept.bound;
    await loadCel();
    const before = compiled;
    compiled = new Map();
    const byPolicy = Map.groupBy(
      [...bindings.all()].map((each) => each.decoded() as DeepReadonly<B>), // of that kind
      ({ spec }) => spec?.policyName ?? "",
    );
    const bound: BoundPolicy<P, B, C>[] = [];
    for (const object of policies.all()) {
      const policy = object.decoded() as DeepReadonly<P>; // of that kind
      const name = policy.metadata?.name ?? "";
      const own = byPolicy.get(name);
      if (!own) continue;
      const known = before.get(name);
      const value = known?.revision === object.revision ? known.value : options.compile(policy);
      compiled.set(name, { revision: object.revision, value });
      bound.push({
        policy,
        constraints: compileConstraints(policy.spec?.matchConstraints ?? {}),
        bindings: own.map((binding) => ({ binding, constraints: optional(binding.spec?.matchResources) })),
        compiled: value,
      });
    }
    kept = { from, bound };
    return bound;
  }

  return {
    any() {
      const bindings = cacheOf(options.bindings);
      return bindings instanceof Promise || bindings.size > 0;
    },
    bound: async () => bind(await cacheOf(options.policies), await cacheOf(options.bindings)),
  };
}

const optional = (match: DeepReadonly<MatchResources> | undefined) => match && compileConstraints(match);

/** What all policies compile; expressions that are stored are taken as they are. */
export function compilePolicy(spec: DeepReadonly<NonNullable<Policy["spec"]>>) {
  const context = { params: spec.paramKind !== undefined, authorizer: true };
  const compiler = new ExpressionCompiler({ composed: true, stored: "all" });
  for (const { name, expression } of spec.variables ?? []) compiler.addVariable(name, expression, context);
  const conditions = (spec.matchConditions ?? []).map(({ expression }) =>
    compiler.compile(expression, { ...context, returns: "bool" }),
  );
  return { compiler, context, conditions, variables: compiler.variables };
}
