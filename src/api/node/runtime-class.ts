/** RuntimeClass: how nodes run the pods of this class, what that costs, and which nodes can. Follows upstream's registry/node/runtimeclass. */
import { type FieldError, nameIsDnsLabel } from "#machinery";
import { ageColumn } from "../columns.ts";
import { goStruct } from "../go-struct.ts";
import { defineKind } from "../kind.ts";
import { deprecatedNodeLabel } from "../node-labels.ts";
import { Place } from "../place.ts";
import { tolerateNothing } from "../pod-spec/check.ts";
import { roundResources } from "../pod-spec/default-resources.ts";
import { validateOverhead } from "../pod-spec/resources.ts";
import { validateTolerations } from "../pod-spec/tolerations.ts";
import { validateLabels } from "../selectors.ts";
import type { RuntimeClass, Toleration } from "../types.d.ts";

function validateClass({ handler = "", overhead, scheduling }: RuntimeClass): FieldError[] {
  const errors: FieldError[] = [];
  Place.root("handler", errors).invalidEach(handler, nameIsDnsLabel(handler, false));
  if (overhead) {
    const check = { tolerate: tolerateNothing, claimNames: new Set<string>() };
    validateOverhead(overhead.podFixed ?? {}, Place.root("overhead", errors), check);
  }
  if (!scheduling) return errors;
  const at = Place.root("scheduling", errors);
  validateLabels(scheduling.nodeSelector, at.child("nodeSelector"));
  validateUniqueTolerations(scheduling.tolerations ?? [], at.child("tolerations"));
  return errors;
}

function validateUniqueTolerations(tolerations: readonly Toleration[], at: Place): void {
  validateTolerations(tolerations, at);
  const seen = new Set<string>();
  tolerations.forEach((toleration, i) => {
    const { key = "", operator = "", value = "", effect = "" } = toleration;
    const identity = JSON.stringify([key, operator, value, effect]);
    if (seen.has(identity)) at.index(i).duplicate(goStruct("api.core.v1.Toleration", toleration));
    seen.add(identity);
  });
}

function validateUpdate(runtimeClass: RuntimeClass, old: RuntimeClass): FieldError[] {
  const errors = validateClass(runtimeClass);
  const { handler } = runtimeClass;
  if (handler !== old.handler) Place.root("handler", errors).invalid(handler, "field is immutable");
  return errors;
}

function labelWarnings({ scheduling }: RuntimeClass): string[] {
  const at = Place.root("scheduling").child("nodeSelector");
  return Object.keys(scheduling?.nodeSelector ?? {}).flatMap((key) => {
    const message = deprecatedNodeLabel(key);
    return message === undefined ? [] : [`${at}: ${message}`];
  });
}

export const runtimeClassKind = defineKind<RuntimeClass>({
  group: "node.k8s.io",
  kind: "RuntimeClass",
  resource: "runtimeclasses",
  storageVersion: "v1",
  allowUnconditionalUpdate: false,

  defaults: ({ overhead }) => roundResources(overhead?.podFixed),
  validate: validateClass,
  validateUpdate,
  warningsOnCreate: labelWarnings,
  warningsOnUpdate: labelWarnings,

  columns: [{ name: "Handler", type: "string", of: ({ handler }) => handler ?? "" }, ageColumn],
});
