/** Taints of devices, and what tolerates them. */
import { isLabelValue, isQualifiedName } from "#machinery";
import type { Place } from "../place.ts";
import type { DeviceTaint, DeviceToleration } from "../types.d.ts";

const effects = ["NoExecute", "NoSchedule", "None"];

export function validateTaint({ key = "", value = "", effect = "" }: DeviceTaint, at: Place): void {
  at.child("key").invalidEach(key, isQualifiedName(key));
  at.child("value").invalidEach(value, isLabelValue(value));
  if (effect === "") at.child("effect").required();
  else if (!effects.includes(effect)) at.child("effect").notSupported(effect, effects);
}

export function validateToleration(toleration: DeviceToleration, at: Place): void {
  const { key = "", operator = "", value = "", effect = "" } = toleration;
  if (key !== "") at.child("key").invalidEach(key, isQualifiedName(key));
  switch (operator) {
    case "Exists":
      if (value !== "") at.child("value").invalid(value, "must be empty for operator `Exists`");
      break;
    case "Equal":
      at.child("value").invalidEach(value, isLabelValue(value));
      break;
    case "":
      at.child("operator").required();
      break;
    default:
      at.child("operator").notSupported(operator, ["Equal", "Exists"]);
  }
  if (effect !== "" && !effects.includes(effect)) at.child("effect").notSupported(effect, effects);
}
