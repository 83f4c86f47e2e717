/** PriorityClass: a name for a pod's priority. Follows upstream's registry/scheduling/priorityclass. */
import type { FieldError } from "#machinery";
import { ageColumn } from "../columns.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import { firstGeneration } from "../strategy.ts";
import type { PriorityClass } from "../types.d.ts";

/** What users may define. */
const userPriorityMax = 1_000_000_000;
const systemPrefix = "system-";

/** The classes that every cluster has, by name. */
export const systemPriorities: Readonly<Record<string, number>> = {
  "system-node-critical": 2_000_001_000,
  "system-cluster-critical": 2_000_000_000,
};

const policies = ["PreemptLowerPriority", "Never"];

function validateClass(priorityClass: PriorityClass): FieldError[] {
  const errors: FieldError[] = [];
  const { value, preemptionPolicy } = priorityClass;
  const name = priorityClass.metadata.name ?? "";
  if (name.startsWith(systemPrefix)) {
    const why = whyNotSystem(name, priorityClass);
    const reserved = `priority class names with '${systemPrefix}' prefix are reserved for system use only`;
    if (why) Place.root("metadata", errors).child("name").forbidden(`${reserved}. error: ${why}`);
  } else if ((value ?? 0) > userPriorityMax) {
    const why = `maximum allowed value of a user defined priority is ${userPriorityMax}`;
    Place.root("value", errors).forbidden(why);
  }
  if (preemptionPolicy !== undefined) validatePolicy(preemptionPolicy, Place.root("preemptionPolicy", errors));
  return errors;
}

function whyNotSystem(name: string, { value, globalDefault }: PriorityClass): string | undefined {
  const expected = Object.hasOwn(systemPriorities, name) ? systemPriorities[name] : undefined;
  if (expected === undefined) return `${name} is not a known system priority class`;
  if ((value ?? 0) !== expected) return `value of ${name} PriorityClass must be ${expected}`;
  return globalDefault ? `globalDefault of ${name} PriorityClass must be false` : undefined;
}

function validatePolicy(policy: string, at: Place): void {
  if (policy === "") at.required();
  else if (!policies.includes(policy)) at.notSupported(policy, policies);
}

/** Pods have copied both. */
function validateUpdate(priorityClass: PriorityClass, old: PriorityClass): FieldError[] {
  const errors: FieldError[] = [];
  if ((priorityClass.value ?? 0) !== (old.value ?? 0))
    Place.root("value", errors).forbidden("may not be changed in an update.");
  if (priorityClass.preemptionPolicy !== old.preemptionPolicy) {
    Place.root("preemptionPolicy", errors).invalid(priorityClass.preemptionPolicy, "field is immutable");
  }
  return errors;
}

export const priorityClassKind = defineKind<PriorityClass>({
  group: "scheduling.k8s.io",
  kind: "PriorityClass",
  resource: "priorityclasses",
  storageVersion: "v1",

  defaults(priorityClass) {
    priorityClass.preemptionPolicy ??= "PreemptLowerPriority";
  },
  prepareForCreate: firstGeneration,
  validate: validateClass,
  validateUpdate,

  columns: [
    {
      name: "Value",
      type: "integer",
      description: { field: "V1PriorityClass.value" },
      of: ({ value }) => value ?? 0,
    },
    {
      name: "Global-Default",
      type: "boolean",
      description: { field: "V1PriorityClass.globalDefault" },
      of: ({ globalDefault }) => globalDefault ?? false,
    },
    ageColumn,
    {
      name: "PreemptionPolicy",
      type: "string",
      description: { field: "V1PriorityClass.preemptionPolicy" },
      of: ({ preemptionPolicy }) => preemptionPolicy ?? "",
    },
  ],
});
