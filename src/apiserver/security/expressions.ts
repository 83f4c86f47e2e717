/**
 * Expressions in configuration files: compiled when the file is read, so that a mistake is told at once. The expression language is loaded
 * only when a file uses it.
 */
import type { RequestUser } from "#api";
import { type FieldError, fieldError, type FieldPath } from "#machinery";
import type { CompileExpression, Expression, ExpressionScope } from "./expression-types.ts";

export type { CompileExpression, Expression, ExpressionScope };

/** Notes the problem and answers undefined. */
export function compileAt(
  path: FieldPath,
  source: string,
  { compile, errors, ...want }: CompileAt,
): Expression | undefined {
  const compiled = compile(source, want);
  if (!("problem" in compiled)) return compiled;
  errors.push(fieldError.invalid(path, source, compiled.problem));
  return undefined;
}

interface CompileAt {
  readonly compile: CompileExpression;
  readonly errors: FieldError[];
  readonly scope: ExpressionScope;
  readonly returns: "bool" | "any";
}

/** A user as rules see it. */
export const userValue = ({ name, uid, groups, extra }: RequestUser): object => ({
  username: name,
  uid,
  groups,
  extra,
});

/** Brings the expression language along. */
export async function loadExpressionCompiler(): Promise<CompileExpression> {
  const { createExpressionCompiler } = await import("./cel-expressions.ts");
  return createExpressionCompiler();
}
