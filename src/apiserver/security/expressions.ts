/**
 * Expressions in configuration files: compiled when the file is read, so that a mistake is told at once. The expression language is loaded
 * only when a file uses it.
 */
import type { RequestUser } from "#api";
import { type FieldError, fieldError, type FieldPath } from "#machinery";

/** What an expression is about, and the name by which it calls it. */
export type ExpressionScope = "claims" | "user" | "request";

export interface Expression {
  readonly source: string;
  /** The value as plain JSON, or what went wrong. Never throws: what it is asked about comes from outside. */
  evaluate(subject: unknown): { readonly value: unknown } | { readonly error: string };
  /** Whether `claims.email` and the like stand in it. */
  selects(variable: string, field: string): boolean;
}

/** A problem is worded as behind `Invalid value: "…": `. */
export type CompileExpression = (
  source: string,
  want: { readonly scope: ExpressionScope; readonly returns: "bool" | "any" },
) => Expression | { readonly problem: string };

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
