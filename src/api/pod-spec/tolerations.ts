/** Tolerations of pods, and the taints of nodes that they answer. */
import { goQuote, isDecimalInteger, isLabelValue, isQualifiedName } from "#machinery";
import type { Place } from "../place.ts";
import type { Taint, Toleration } from "../types.d.ts";

const effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
const int64Max = 2n ** 63n - 1n;

export function validateTolerations(tolerations: readonly Toleration[], at: Place): void {
  tolerations.forEach((toleration, i) => {
    const place = at.index(i);
    const { key = "", operator = "", value = "", effect = "", tolerationSeconds } = toleration;
    if (key !== "") place.child("key").invalidEach(key, isQualifiedName(key));
    else if (operator !== "Exists") {
      const why = 'operator must be Exists when `key` is empty, which means "match all values and all keys"';
      place.child("operator").invalid(operator, why);
    }
    if (tolerationSeconds !== undefined && effect !== "NoExecute") {
      place.child("effect").invalid(effect, "effect must be 'NoExecute' when `tolerationSeconds` is set");
    }
    validateOperator({ operator, value }, place);
    if (effect !== "" && !effects.includes(effect)) place.child("effect").notSupported(effect, effects);
  });
}

function validateOperator({ operator, value }: { operator: string; value: string }, at: Place): void {
  switch (operator) {
    case "":
    case "Equal": {
      const messages = isLabelValue(value);
      if (messages.length > 0) at.child("operator").invalid(value, messages.join(";"));
      break;
    }
    case "Exists":
      if (value !== "") at.child("operator").invalid(value, "value must be empty when `operator` is 'Exists'");
      break;
    case "Lt":
    case "Gt":
      at.child("value").invalidEach(value, isDecimalInteger(value));
      validateInt64(value, at.child("value"));
      break;
    default:
      at.child("operator").notSupported(operator, ["Equal", "Exists"]);
  }
}

/** In the words of Go's strconv, which upstream passes on. */
function validateInt64(value: string, at: Place): void {
  const number = /^[+-]?[0-9]+$/.test(value) ? BigInt(value.replace("+", "")) : undefined;
  if (number !== undefined && number <= int64Max && number >= -int64Max - 1n) return;
  const why = number === undefined ? "invalid syntax" : "value out of range";
  at.invalid(value, `strconv.ParseInt: parsing ${goQuote(value)}: ${why}`);
}

/** As Go prints the struct. */
const printTaint = ({
  key,
  value = "",
  effect,
  timeAdded = null,
}: Omit<Taint, "timeAdded"> & { timeAdded?: unknown }) => ({
  Key: key,
  Value: value,
  Effect: effect,
  TimeAdded: timeAdded,
});

/** Unique by key and effect. */
export function validateTaints(taints: readonly Taint[], at: Place): void {
  const seen = new Set<string>();
  taints.forEach((taint, i) => {
    const place = at.index(i);
    const { key = "", value = "", effect = "" } = taint;
    place.child("key").invalidEach(key, isQualifiedName(key));
    const messages = isLabelValue(value);
    if (messages.length > 0) place.child("value").invalid(value, messages.join(";"));
    if (effect === "") place.child("effect").required();
    else if (!effects.includes(effect)) place.child("effect").notSupported(effect, effects);
    const pair = `${effect}/${key}`;
    if (seen.has(pair)) place.duplicate(printTaint(taint), "taints must be unique by key and effect pair");
    seen.add(pair);
  });
}
