/** Conditions of a definition. */
import { type DeepReadonly, formatTime } from "#machinery";
import type { CustomResourceDefinition, CustomResourceDefinitionCondition } from "../types.d.ts";

export type DefinitionCondition = Pick<CustomResourceDefinitionCondition, "type" | "status" | "reason" | "message">;

export const findCondition = (
  { status }: DeepReadonly<CustomResourceDefinition>,
  type: string,
): DeepReadonly<CustomResourceDefinitionCondition> | undefined =>
  status?.conditions?.find((each) => each.type === type);

export const conditionIsTrue = (definition: DeepReadonly<CustomResourceDefinition>, type: string): boolean =>
  findCondition(definition, type)?.status === "True";

/** Changes `definition`. The time is that of the last change of status. */
export function setCondition(definition: CustomResourceDefinition, next: DefinitionCondition, now: number): void {
  definition.status ??= {};
  const conditions = definition.status.conditions ?? [];
  definition.status.conditions = conditions;
  const found = conditions.find(({ type }) => type === next.type);
  const { type, status, reason, message } = next;
  const kept = found?.status === status ? found.lastTransitionTime : undefined;
  // What a client said of the generation stays.
  const condition = { ...found, type, status, lastTransitionTime: kept ?? formatTime(now), reason, message };
  if (found) conditions[conditions.indexOf(found)] = condition as CustomResourceDefinitionCondition;
  else conditions.push(condition as CustomResourceDefinitionCondition); // reason and message are there
}

/** Changes `definition`. */
export function removeCondition({ status }: CustomResourceDefinition, type: string): void {
  if (status?.conditions) status.conditions = status.conditions.filter((each) => each.type !== type);
}
