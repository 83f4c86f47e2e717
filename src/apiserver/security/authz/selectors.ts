/** Selectors of a request as reviews carry them. */
import type { FieldRequirement, LabelRequirement } from "#machinery";
import type { Attributes } from "../../security.ts";

/** As the fields of ResourceAttributes. */
export function selectorsOf({ fieldSelector, labelSelector }: Attributes): object {
  const fields = fieldSelector?.map(fieldRequirement) ?? [];
  const labels = labelSelector?.flatMap(labelRequirement) ?? [];
  return {
    ...(fields.length > 0 ? { fieldSelector: { requirements: fields } } : {}),
    ...(labels.length > 0 ? { labelSelector: { requirements: labels } } : {}),
  };
}

const fieldRequirement = ({ field, operator, value }: FieldRequirement) => ({
  key: field,
  operator: operator === "=" ? "In" : "NotIn",
  values: [value],
});

const labelOperators: Readonly<Record<string, string>> = {
  in: "In",
  "=": "In",
  "==": "In",
  notin: "NotIn",
  "!=": "NotIn",
  exists: "Exists",
  "!": "DoesNotExist",
};

/** Those that have no name in the API are left out: what is asked then is more, never less. */
function labelRequirement({ key, operator, values }: LabelRequirement): object[] {
  const name = labelOperators[operator];
  return name === undefined ? [] : [{ key, operator: name, ...(values.length > 0 ? { values } : {}) }];
}
