/**
 * Expressions of one policy or webhook over one request: what they may look at, and what all of them together may cost. Values are adapted
 * where an expression looks at them, never as a whole. Follows apiserver/pkg/admission/plugin/cel/activation.go.
 */
import { celEngine, type CompiledExpression } from "#api";
import type { CelValue, Result, Variables } from "#cel";
import type { DeepReadonly, KubernetesObject } from "#machinery";
import type { Resource } from "../../resource.ts";
import type { AdmissionRequest } from "../chain.ts";

type Shown = DeepReadonly<KubernetesObject> | undefined;

export interface Subject {
  readonly request: AdmissionRequest;
  /** In the version that was matched. */
  readonly resource: Resource;
  readonly object: Shown;
  readonly old: Shown;
  readonly namespace: DeepReadonly<KubernetesObject> | undefined;
  /** `params`; undefined is null. */
  readonly params: Shown;
  /** `authorizer` and `authorizer.requestResource`, where they may be used. */
  readonly authorizer?: Variables | undefined;
}

/** No more expressions may be evaluated. */
export class BudgetError extends Error {
  override name = "BudgetError";
}

const outOfBudget = "validation failed due to running out of cost budget, no further validation rules will be run";

/** `error`: in upstream's words. */
export type Outcome =
  | { readonly value: CelValue; readonly error?: undefined }
  | { readonly error: string; readonly value?: undefined };

export class Evaluator {
  readonly #inputs: Variables;
  /** What variables of the policy have cost since it was asked last. */
  #variablesCost = 0;
  /** Cost units that are left. */
  remaining: number;

  constructor(
    subject: Subject,
    { budget, variables }: { readonly budget: number; readonly variables?: ReadonlyMap<string, CompiledExpression> },
  ) {
    this.remaining = budget;
    const inputs = inputsOf(subject);
    this.#inputs =
      variables && variables.size > 0 ? { ...inputs, variables: this.#variables(variables, inputs) } : inputs;
  }

  /** Throws BudgetError when that was too much. */
  async evaluate({ source, program, error }: CompiledExpression): Promise<Outcome> {
    if (!program) return { error: `compilation error: ${error}` };
    const evaluation = await program.evaluateAsync(this.#inputs);
    this.#spend(this.#variablesCost);
    this.#variablesCost = 0;
    this.#spend(evaluation.cost);
    if (evaluation.error) return { error: `expression '${source}' resulted in error: ${evaluation.error.message}` };
    return { value: evaluation.value };
  }

  #spend(cost: number): void {
    if (cost > this.remaining) throw new BudgetError(outOfBudget);
    this.remaining -= cost;
  }

  /** Evaluated when they are first used; each can use those before it. */
  #variables(variables: ReadonlyMap<string, CompiledExpression>, inputs: Variables): CelValue {
    const { CelError, LazyObject, objectType } = celEngine();
    const field =
      (name: string, { program, error }: CompiledExpression) =>
      (): Result => {
        if (!program) return new CelError(`composited variable ${JSON.stringify(name)} fails to compile: ${error}`);
        const evaluation = program.evaluate({ ...inputs, variables: all });
        this.#variablesCost += evaluation.cost;
        return evaluation.error
          ? new CelError(`composited variable ${JSON.stringify(name)} fails to evaluate: ${evaluation.error.message}`)
          : evaluation.value;
      };
    const fields = [...variables].map(([name, compiled]) => [name, field(name, compiled)]);
    const all = new LazyObject(objectType("kubernetes.variables"), Object.fromEntries(fields));
    return all;
  }
}

function inputsOf(subject: Subject): Variables {
  const { fromJson } = celEngine();
  const value = (json: unknown): Result => fromJson(json ?? null);
  return {
    object: () => value(subject.object),
    oldObject: () => value(subject.old),
    params: () => value(subject.params),
    namespaceObject: () => value(namespaceShown(subject.namespace)),
    request: () => value(requestShown(subject)),
    ...subject.authorizer,
  };
}

/** Without managed fields and owners, as upstream shows it. */
function namespaceShown(namespace: Subject["namespace"]): unknown {
  if (!namespace) return null;
  const { managedFields: _fields, ownerReferences: _owners, ...metadata } = namespace.metadata ?? {};
  return { ...namespace, metadata };
}

/** An AdmissionRequest without its objects, which have variables of their own. */
function requestShown({ request, resource }: Subject): object {
  const { resource: own, operation, subresource, user, dryRun, options, object } = request;
  const kindOf = ({ group, version, kind }: Resource) => ({ group, version, kind });
  const resourceOf = ({ group, version, resource: plural }: Resource) => ({ group, version, resource: plural });
  const name = request.name || (object?.metadata?.name ?? "");
  const isNamespace = own.group === "" && own.resource === "namespaces";
  const namespace = isNamespace ? name : request.namespace;
  return {
    uid: "",
    kind: kindOf(resource),
    resource: resourceOf(resource),
    ...(subresource && { subResource: subresource, requestSubResource: subresource }),
    requestKind: kindOf(own),
    requestResource: resourceOf(own),
    ...(name && { name }),
    ...(namespace && { namespace }),
    operation,
    userInfo: {
      ...(user.name && { username: user.name }),
      ...(user.uid && { uid: user.uid }),
      ...(user.groups.length > 0 && { groups: user.groups }),
      ...(Object.keys(user.extra).length > 0 && { extra: user.extra }),
    },
    dryRun,
    options,
  };
}
