/** MutatingAdmissionPolicy: expressions that change objects before they are stored. Follows apiserver/pkg/admission/plugin/policy/mutating. */
import {
  celEngine,
  type CompiledExpression,
  type MutatingAdmissionPolicy,
  type MutatingAdmissionPolicyBinding,
} from "#api";
import { checkTyped, type DeepReadonly, jsonEqual, type KubernetesObject, StatusError, statusError } from "#machinery";
import type { Resource } from "../../resource.ts";
import type { AdmissionPlugin, AdmissionRequest, Lookup, Round } from "../chain.ts";
import { refuse } from "../refuse.ts";
import { replaceObject } from "../replace-object.ts";
import { shownAs } from "../requested.ts";
import { roundsOf } from "../webhook/rounds.ts";
import { conditionsMet } from "./conditions.ts";
import { matchedBy } from "./constraints.ts";
import { BudgetError, Evaluator, type Subject } from "./evaluate.ts";
import { collectParams, ConfigurationError, paramResource } from "./params.ts";
import { applyConfiguration, applyPatches, MutationError } from "./patch.ts";
import { concernsPolicies, type PolicyPluginOptions, subjectOf } from "./plugin.ts";
import { type BoundPolicy, compilePolicy, createPolicySource } from "./source.ts";

type Compiled = ReturnType<typeof compile>;
type Bound = BoundPolicy<MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, Compiled>;

function compile({ spec = {} }: DeepReadonly<MutatingAdmissionPolicy>) {
  const { compiler, context, ...rest } = compilePolicy(spec);
  const patches = { ...context, patches: true };
  return {
    ...rest,
    mutations: (spec.mutations ?? []).map(({ patchType, jsonPatch, applyConfiguration: configuration }) =>
      patchType === "JSONPatch"
        ? {
            isPatch: true,
            expression: compiler.compile(jsonPatch?.expression ?? "", { ...patches, returns: "JSON patches" }),
          }
        : {
            isPatch: false,
            expression: compiler.compile(configuration?.expression ?? "", {
              ...patches,
              returns: "apply configuration",
            }),
          },
    ),
  };
}

/** One binding with one of its parameters. */
interface Invocation {
  readonly id: string;
  readonly bound: Bound;
  readonly binding: string;
  readonly resource: Resource;
  readonly params: DeepReadonly<KubernetesObject> | undefined;
}

interface Failure {
  readonly policy: string;
  readonly binding?: string;
  readonly message: string;
  readonly reason?: string;
}

export function mutatingPolicies(options: PolicyPluginOptions): AdmissionPlugin {
  const source = createPolicySource<MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, Compiled>({
    ...options,
    policies: "mutatingadmissionpolicies",
    bindings: "mutatingadmissionpolicybindings",
    compile,
  });
  return {
    name: "MutatingAdmissionPolicy",
    // There is nothing to change in what is deleted.
    handles: (request) => request.operation !== "DELETE" && source.any() && concernsPolicies(request),
    async mutate(request, lookup, round) {
      const failures: Failure[] = [];
      const context: Mutating = { ...options, request, lookup, failures };
      const invocations: Invocation[] = [];
      for (const bound of await source.bound()) invocations.push(...(await invocationsOf(context, bound)));
      const rounds = roundsOf(round, "policies");
      if (round.again) rounds.begin(request.object);
      for (const invocation of invocations) await invoke(context, invocation, round);
      rounds.end(request.object);
      if (failures.length > 0) throw denied(request, failures);
    },
  };
}

interface Mutating extends PolicyPluginOptions {
  readonly request: AdmissionRequest;
  readonly lookup: Lookup;
  /** Of policies that don't ignore them. */
  readonly failures: Failure[];
}

function fail({ failures }: Mutating, { policy }: Bound, failure: Omit<Failure, "policy">): void {
  if (policy.spec?.failurePolicy !== "Ignore") failures.push({ policy: policy.metadata?.name ?? "", ...failure });
}

async function invocationsOf(context: Mutating, bound: Bound): Promise<Invocation[]> {
  const { table, request, lookup } = context;
  const { policy, constraints, bindings } = bound;
  const found: Invocation[] = [];
  const misconfigured = (error: unknown, binding?: string) => {
    if (!(error instanceof ConfigurationError) && !(error instanceof StatusError)) throw error;
    const message = `failed to configure ${binding === undefined ? "policy" : "binding"}: ${error.message}`;
    fail(context, bound, { message, ...(binding !== undefined && { binding }) });
  };
  try {
    const resource = await matchedBy(context, constraints, request);
    if (!resource) return [];
    const kind = policy.spec?.paramKind;
    if (kind) paramResource(table, kind);
    for (const { binding, constraints: own } of bindings) {
      const name = binding.metadata?.name ?? "";
      try {
        if (own && !(await matchedBy(context, own, request))) continue;
        const { paramRef: reference } = binding.spec ?? {};
        for (const params of await collectParams({ table, lookup, kind, reference, namespace: request.namespace })) {
          const { namespace = "", name: paramName = "" } = params?.metadata ?? {};
          const id = `${policy.metadata?.name} ${name} ${namespace}/${paramName}`;
          found.push({ id, bound, binding: name, resource, params });
        }
      } catch (error) {
        misconfigured(error, name);
      }
    }
  } catch (error) {
    misconfigured(error);
  }
  return found;
}

async function invoke(context: Mutating, invocation: Invocation, round: Round): Promise<void> {
  const { request } = context;
  const { id, bound, binding, resource, params } = invocation;
  const { policy, compiled } = bound;
  const rounds = roundsOf(round, "policies");
  const shown = { resource, params, old: await shownAs(resource, request.old) };
  const subject = await subjectOf(context, { ...shown, object: await shownAs(resource, request.object) });
  const { conditions, variables } = compiled;
  const met = await conditionsMet(subject, { conditions, variables, failurePolicy: policy.spec?.failurePolicy });
  if (met.error !== undefined) fail(context, bound, { binding, message: met.error, reason: "Invalid" });
  if (!met.met || (round.again && !rounds.wants(id))) return;
  let changed = false;
  for (const { expression, isPatch } of compiled.mutations) {
    const object = await shownAs(resource, request.object);
    if (!object) return;
    try {
      const mutated = await mutate({ ...subject, object }, { expression, isPatch, variables });
      if (jsonEqual(mutated, object)) continue;
      await replaceObject(request, checked(mutated, object, resource), resource);
      changed = true;
    } catch (error) {
      if (!(error instanceof MutationError) && !(error instanceof BudgetError)) throw error;
      fail(context, bound, { binding, message: error.message, reason: "Invalid" });
    }
  }
  if (changed) {
    rounds.changed();
    round.wanted = true;
  }
  if (policy.spec?.reinvocationPolicy === "IfNeeded") rounds.asked(id);
}

interface Mutation {
  readonly expression: CompiledExpression;
  readonly isPatch: boolean;
  readonly variables: ReadonlyMap<string, CompiledExpression>;
}

/** Each mutation has a budget of its own. */
async function mutate(
  subject: Subject & { readonly object: DeepReadonly<KubernetesObject> },
  { expression, isPatch, variables }: Mutation,
): Promise<KubernetesObject> {
  if (expression.error !== undefined) throw new MutationError(expression.error);
  const evaluator = new Evaluator(subject, { budget: celEngine().runtimeCostBudget, variables });
  const { value, error } = await evaluator.evaluate(expression);
  if (error !== undefined) throw new MutationError(error);
  if (!isPatch) return applyConfiguration(subject.object, value ?? null, subject.resource);
  if (!(value instanceof celEngine().CelList))
    throw new MutationError("type mismatch: JSONPatchType.expression should evaluate to array");
  return applyPatches(subject.object, value);
}

/** Held to its type; upstream calls what doesn't decode an internal error. */
function checked(
  mutated: KubernetesObject,
  before: DeepReadonly<KubernetesObject>,
  resource: Resource,
): KubernetesObject {
  try {
    if (before.kind === resource.kind && !resource.custom)
      checkTyped(mutated as Record<string, unknown>, resource.schema);
    return mutated;
  } catch (error) {
    throw statusError.internal((error as Error).message); // a wrong type
  }
}

function denied(request: AdmissionRequest, failures: readonly Failure[]): StatusError {
  const texts = failures.map(({ policy, binding, message }) =>
    binding === undefined
      ? `policy ${JSON.stringify(policy)} denied request: ${message}`
      : `policy '${policy}' with binding '${binding}' denied request: ${message}`,
  );
  const { status } = refuse(request, "");
  const reason = failures[0]?.reason ?? status.reason;
  const details = { ...status.details, causes: texts.map((message) => ({ message })) };
  return new StatusError({ ...status, message: texts[0] ?? "", ...(reason && { reason }), details });
}
