import type { Issues } from "./issues.ts";
import type { Token } from "./lexer.ts";
export function explainSyntax(_tokens: readonly Token[], issues: Issues): void {
  issues.report(0, "Syntax error");
}
