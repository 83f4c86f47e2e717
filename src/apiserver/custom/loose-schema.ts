/**
 * The condition NonStructuralSchema: a definition of old keeps unknown fields, or its schema says less than is needed to prune by it.
 * Follows controller/nonstructuralschema. New ones can't be so, so only those that keep unknown fields are looked at.
 */
import { type CustomResourceDefinition, type DefinitionCondition, loadEngines, validateStructural } from "#api";
import { type DeepReadonly, FieldPath, fieldError, printFieldErrors } from "#machinery";

export const looseType = "NonStructuralSchema";

/** Undefined: it is fine. */
export async function looseCondition({
  spec,
}: DeepReadonly<CustomResourceDefinition>): Promise<DefinitionCondition | undefined> {
  if (!spec.preserveUnknownFields) return undefined;
  const at = FieldPath.root("spec");
  const errors = [fieldError.invalid(at.child("preserveUnknownFields"), true, "must be false")];
  for (const [i, { schema }] of spec.versions.entries()) {
    const root = schema?.openAPIV3Schema;
    if (!root) continue;
    await loadEngines(root);
    errors.push(...validateStructural(root, at.child("versions").index(i).child("schema").child("openAPIV3Schema")));
  }
  return { type: looseType, status: "True", reason: "Violations", message: printFieldErrors(errors) };
}
