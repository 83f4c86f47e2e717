/**
 * Checks the expressions of a policy against the types that it is about, as far as they are known: what can't work there becomes a
 * warning in its status. Pure. Follows apiserver/pkg/admission/plugin/policy/validating/typechecking.go.
 */
import { ExpressionCompiler, type ValidatingAdmissionPolicy } from "#api";
import type { DeclType } from "#cel";
import type { DeepReadonly } from "#machinery";
import type { GroupVersionKind } from "./schema.ts";

type Policy = DeepReadonly<ValidatingAdmissionPolicy>;

export interface Warning {
  readonly fieldRef: string;
  readonly warning: string;
}

export interface GroupVersionResource {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
}

/** Types that one policy is checked against. */
export const typesMax = 10;

/** Resources that the rules name; a rule with a wildcard says nothing about types. */
export function namedResources({ spec }: Policy): GroupVersionResource[] {
  return (spec?.matchConstraints?.resourceRules ?? []).flatMap(
    ({ apiGroups = [], apiVersions = [], resources = [] }) => {
      if ([...apiGroups, ...apiVersions].some((text) => text.includes("*"))) return [];
      const plain = resources.filter((text) => !/[*/]/.test(text)).sort();
      return [...apiGroups]
        .sort()
        .flatMap((group) =>
          [...apiVersions].sort().flatMap((version) => plain.map((resource) => ({ group, version, resource }))),
        );
    },
  );
}

export interface CheckedType extends GroupVersionKind {
  readonly type: DeclType;
}

/** The engine is loaded. */
export function typeWarnings({ spec }: Policy, types: readonly CheckedType[], params: DeclType | undefined): Warning[] {
  const context = { params: spec?.paramKind !== undefined, authorizer: true };
  const compilers = types.map(({ type, ...kind }) => {
    const compiler = new ExpressionCompiler({ composed: true, stored: "all", types: { object: type, params } });
    for (const { name, expression } of spec?.variables ?? []) compiler.addVariable(name, expression, context);
    return { compiler, kind };
  });
  const check = (fieldRef: string, expression: string): Warning[] => {
    const found = compilers.flatMap(({ compiler, kind }) => {
      const { error } = compiler.compile(expression, { ...context, returns: "any" });
      return error === undefined ? [] : [`${print(kind)}: ${error.replace(/^compilation failed: /, "")}\n`];
    });
    return found.length > 0 ? [{ fieldRef, warning: found.join("\n") }] : [];
  };
  return (spec?.validations ?? []).flatMap(({ expression, messageExpression }, index) => {
    const at = `spec.validations[${index}]`;
    const ofMessage = messageExpression ? check(`${at}.messageExpression`, messageExpression) : [];
    return [...check(`${at}.expression`, expression), ...ofMessage];
  });
}

const print = ({ group, version, kind }: GroupVersionKind) => `${group}/${version}, Kind=${kind}`;
