/** ValidatingAdmissionPolicy: expressions that decide whether a request may pass. Follows apiserver/pkg/admission/plugin/policy/validating. */
import {
  celEngine,
  type CompiledExpression,
  type ValidatingAdmissionPolicy,
  type ValidatingAdmissionPolicyBinding,
} from "#api";
import { type DeepReadonly, StatusError } from "#machinery";
import type { AdmissionPlugin, AdmissionRequest, Lookup } from "../chain.ts";
import { refuse } from "../refuse.ts";
import { shownAs } from "../requested.ts";
import { conditionsMet } from "./conditions.ts";
import { matchedBy } from "./constraints.ts";
import { BudgetError, Evaluator, type Outcome, type Subject } from "./evaluate.ts";
import { collectParams, ConfigurationError, paramResource } from "./params.ts";
import { concernsPolicies, type PolicyPluginOptions, subjectOf } from "./plugin.ts";
import { type BoundPolicy, compilePolicy, createPolicySource } from "./source.ts";

type Spec = DeepReadonly<NonNullable<ValidatingAdmissionPolicy["spec"]>>;
type Validation = NonNullable<Spec["validations"]>[number];
type Compiled = ReturnType<typeof compile>;
type Bound = BoundPolicy<ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, Compiled>;
type Binding = Bound["bindings"][number]["binding"];

/** Why the request may not pass, or what the audit log is to hear. */
interface Denial {
  readonly policy: string;
  readonly binding?: string;
  readonly message: string;
  readonly reason?: string;
}

interface Verdicts {
  /** For each validation, undefined when it holds. */
  readonly denials: readonly ({ readonly message: string; readonly reason?: string } | undefined)[];
  readonly annotations: readonly { readonly key: string; readonly value?: string; readonly error?: string }[];
}

const annotationBytesMax = 10 * 1024;
const codes: Readonly<Record<string, number>> = { Forbidden: 403, Unauthorized: 401, RequestEntityTooLarge: 413 };

function compile({ spec = {} }: DeepReadonly<ValidatingAdmissionPolicy>) {
  const { compiler, context, ...rest } = compilePolicy(spec);
  return {
    ...rest,
    validations: (spec.validations ?? []).map((validation) => ({
      validation,
      expression: compiler.compile(validation.expression, { ...context, returns: "bool" }),
      message: validation.messageExpression
        ? compiler.compile(validation.messageExpression, { ...context, authorizer: false, returns: "string" })
        : undefined,
    })),
    annotations: (spec.auditAnnotations ?? []).map(({ key, valueExpression }) => ({
      key,
      expression: compiler.compile(valueExpression, { ...context, returns: "string or null" }),
    })),
  };
}

export function validatingPolicies(options: PolicyPluginOptions): AdmissionPlugin {
  const { table } = options;
  const source = createPolicySource<ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, Compiled>({
    ...options,
    policies: "validatingadmissionpolicies",
    bindings: "validatingadmissionpolicybindings",
    compile,
  });
  return {
    name: "ValidatingAdmissionPolicy",
    handles: (request) => source.any() && concernsPolicies(request),
    async validate(request, lookup) {
      const denials: Denial[] = [];
      for (const bound of await source.bound()) {
        const name = bound.policy.metadata?.name ?? "";
        const fails = bound.policy.spec?.failurePolicy !== "Ignore";
        const misconfigured = (error: unknown, binding?: string) => {
          if (!(error instanceof ConfigurationError) && !(error instanceof StatusError)) throw error;
          const message = `failed to configure ${binding === undefined ? "policy" : "binding"}: ${error.message}`;
          if (fails) denials.push({ policy: name, message, ...(binding !== undefined && { binding }) });
        };
        const context = { ...options, table, request, lookup, bound, denials };
        try {
          await judge(context, misconfigured);
        } catch (error) {
          misconfigured(error);
        }
      }
      const [first] = denials;
      if (first) throw denied(request, first);
    },
  };
}

interface Judging extends PolicyPluginOptions {
  readonly request: AdmissionRequest;
  readonly lookup: Lookup;
  readonly bound: Bound;
  readonly denials: Denial[];
}

async function judge(context: Judging, misconfigured: (error: unknown, binding: string) => void): Promise<void> {
  const { table, request, lookup, bound } = context;
  const { policy, constraints, compiled } = bound;
  const resource = await matchedBy(context, constraints, request);
  if (!resource) return;
  const kind = policy.spec?.paramKind;
  if (kind) paramResource(table, kind);
  const object = await shownAs(resource, request.object);
  const old = await shownAs(resource, request.old);
  const annotations = new Map<string, Set<string>>();
  for (const { binding, constraints: own } of bound.bindings) {
    try {
      if (own && !(await matchedBy(context, own, request))) continue;
      const { paramRef: reference } = binding.spec ?? {};
      const params = await collectParams({ table, lookup, kind, reference, namespace: request.namespace });
      for (const each of params) {
        const subject = await subjectOf(context, { resource, object, old, params: each });
        const verdicts = await decide(compiled, subject, policy.spec?.failurePolicy);
        takeAction(context, { binding, verdicts, annotations });
      }
    } catch (error) {
      misconfigured(error, binding.metadata?.name ?? "");
    }
  }
  for (const [key, values] of annotations)
    request.audit?.annotate(`${policy.metadata?.name}/${key}`, [...values].join(", "));
}

async function decide(compiled: Compiled, subject: Subject, failurePolicy: string | undefined): Promise<Verdicts> {
  const { conditions, variables } = compiled;
  const met = await conditionsMet(subject, { conditions, variables, failurePolicy });
  if (met.error !== undefined) return { denials: [{ message: met.error }], annotations: [] };
  if (!met.met) return { denials: [], annotations: [] };
  const failed = (message: string) => (failurePolicy === "Ignore" ? undefined : { message });
  const budget = celEngine().runtimeCostBudget;
  try {
    const evaluator = new Evaluator(subject, { budget, variables });
    const outcomes: Outcome[] = [];
    for (const { expression } of compiled.validations) outcomes.push(await evaluator.evaluate(expression));
    const messages = await messagesOf(compiled, subject, evaluator.remaining);
    const denials = compiled.validations.map(({ validation }, index) => {
      const { value, error } = outcomes[index] ?? {};
      if (error !== undefined) return failed(error);
      if (typeof messages === "string") return failed(`failed messageExpression: ${messages}`);
      if (value === true) return undefined;
      return { message: messageOf(validation, messages[index]), reason: validation.reason ?? "Invalid" };
    });
    const annotating = new Evaluator(subject, { budget, variables });
    const annotations = [];
    for (const { key, expression } of compiled.annotations) {
      const { value, error } = await annotating.evaluate(expression);
      if (error !== undefined) annotations.push(failurePolicy === "Ignore" ? { key } : { key, error });
      else annotations.push(typeof value === "string" && value.trim() !== "" ? { key, value: value.trim() } : { key });
    }
    return { denials, annotations };
  } catch (error) {
    if (!(error instanceof BudgetError)) throw error;
    return { denials: [failed(error.message)], annotations: [] };
  }
}

/** What the message expressions say, of all validations; a text: why they may not be evaluated. */
async function messagesOf(
  { validations, variables }: Compiled,
  subject: Subject,
  budget: number,
): Promise<readonly (string | undefined)[] | string> {
  const evaluator = new Evaluator({ ...subject, authorizer: undefined }, { budget, variables });
  const messages: (string | undefined)[] = [];
  try {
    for (const { message } of validations) messages.push(message && (await textOf(evaluator, message)));
    return messages;
  } catch (error) {
    if (error instanceof BudgetError) return error.message;
    throw error;
  }
}

async function textOf(evaluator: Evaluator, expression: CompiledExpression): Promise<string | undefined> {
  const { value } = await evaluator.evaluate(expression);
  const text = typeof value === "string" ? value.trim() : "";
  const isFit = Buffer.byteLength(text) <= celEngine().maxEvaluatedMessageExpressionSizeBytes && !text.includes("\n");
  return isFit ? text : undefined;
}

const messageOf = ({ message = "", expression }: Validation, made: string | undefined): string =>
  made || message.trim() || `failed expression: ${expression.trim()}`;

interface Judged {
  readonly binding: Binding;
  readonly verdicts: Verdicts;
  readonly annotations: Map<string, Set<string>>;
}

function takeAction({ request, bound, denials }: Judging, { binding, verdicts, annotations }: Judged): void {
  const policy = bound.policy.metadata?.name ?? "";
  const names = { policy, binding: binding.metadata?.name ?? "" };
  const validationActions = binding.spec?.validationActions ?? [];
  for (const [expressionIndex, denial] of verdicts.denials.entries()) {
    if (!denial) continue;
    const { message } = denial;
    for (const action of validationActions) {
      if (action === "Deny") denials.push({ ...names, ...denial });
      else if (action === "Warn")
        request.warnings.push(
          `Validation failed for ValidatingAdmissionPolicy '${policy}' with binding '${names.binding}': ${message}`,
        );
      else if (action === "Audit")
        request.audit?.annotate(
          "validation.policy.admission.k8s.io/validation_failure",
          JSON.stringify([
            { message, policy: binding.spec?.policyName, binding: names.binding, expressionIndex, validationActions },
          ]),
        );
    }
  }
  for (const { key, value, error } of verdicts.annotations) {
    if (error !== undefined) denials.push({ ...names, message: error });
    if (value === undefined) continue;
    const values = annotations.get(key) ?? new Set();
    annotations.set(key, values.add(Buffer.from(value).subarray(0, annotationBytesMax).toString()));
  }
}

function denied(request: AdmissionRequest, { policy, binding, message: why, reason = "Invalid" }: Denial): StatusError {
  const who = `ValidatingAdmissionPolicy '${policy}'${binding === undefined ? "" : ` with binding '${binding}'`}`;
  const message = `${who} denied request: ${why}`;
  const { status } = refuse(request, message);
  const details = { ...status.details, causes: [{ message }] };
  return new StatusError({ ...status, reason, code: codes[reason] ?? 422, details });
}
