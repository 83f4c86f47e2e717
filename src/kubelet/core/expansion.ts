/** `$(NAME)` in commands, arguments, env values and subPathExpr; `$$` is a dollar, unknown names stay as written. */
export function expand(text: string, lookUp: (name: string) => string | undefined): string {
  if (!text.includes("$")) return text;
  return text.replace(/\$(\$|\(([^)]*)\))/g, (whole, next: string, name: string | undefined) =>
    next === "$" ? "$" : (lookUp(name ?? "") ?? whole),
  );
}

/** Like `expand`, but an unknown name is an error, as upstream has it for subPathExpr. */
export function expandOrThrow(text: string, lookUp: (name: string) => string | undefined): string {
  return expand(text, (name) => {
    const value = lookUp(name);
    if (value === undefined) throw new Error(`missing value for ${name}`);
    return value;
  });
}
