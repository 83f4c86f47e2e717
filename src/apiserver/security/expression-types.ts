/** What expressions in configuration files are, whoever compiles them. */

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
