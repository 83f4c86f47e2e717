/** The options in the query (and of a deletion also in the body) of writes: apimachinery's apis/meta/v1/validation. */
import { type FieldError, FieldPath, fieldError } from "./field.ts";
import { validateFieldManager } from "./meta-validation.ts";

export interface WriteOptions {
  readonly fieldManager?: string;
  readonly dryRun?: readonly string[];
  readonly fieldValidation?: string;
}

const fieldValidations = ["", "Ignore", "Strict", "Warn"];

/** Of CreateOptions and UpdateOptions. */
export function validateWriteOptions({ fieldManager, dryRun, fieldValidation = "" }: WriteOptions): FieldError[] {
  const errors = [
    ...validateFieldManager(fieldManager, FieldPath.root("fieldManager")),
    ...validateDryRun(dryRun, FieldPath.root("dryRun")),
  ];
  if (!fieldValidations.includes(fieldValidation)) {
    errors.push(fieldError.notSupported(FieldPath.root("fieldValidation"), fieldValidation, fieldValidations));
  }
  return errors;
}

export interface PatchWriteOptions extends WriteOptions {
  readonly force?: boolean;
  /** Server-side apply. */
  readonly apply: boolean;
}

export function validatePatchOptions(options: PatchWriteOptions): FieldError[] {
  const errors: FieldError[] = [];
  if (options.apply) {
    if (!options.fieldManager) {
      errors.push(fieldError.required(FieldPath.root("fieldManager"), "is required for apply patch"));
    }
  } else if (options.force !== undefined) {
    errors.push(fieldError.forbidden(FieldPath.root("force"), "may not be specified for non-apply patch"));
  }
  return [...errors, ...validateWriteOptions(options)];
}

/** `metav1.DeleteOptions` as sent, the query merged in. */
export interface DeleteOptionsLike {
  readonly dryRun?: readonly string[];
  readonly gracePeriodSeconds?: number;
  readonly orphanDependents?: boolean;
  readonly preconditions?: object;
  readonly propagationPolicy?: string;
  readonly ignoreStoreReadErrorWithClusterBreakingPotential?: boolean;
}

const propagationPolicies = ["Foreground", "Background", "Orphan"];

export function validateDeleteOptions(options: DeleteOptionsLike): FieldError[] {
  const { orphanDependents, propagationPolicy, dryRun } = options;
  const path = FieldPath.root("propagationPolicy");
  const errors: FieldError[] = [];
  if (orphanDependents !== undefined && propagationPolicy !== undefined) {
    const detail = "orphanDependents and deletionPropagation cannot be both set";
    errors.push(fieldError.invalid(path, propagationPolicy, detail));
  }
  if (propagationPolicy !== undefined && !propagationPolicies.includes(propagationPolicy)) {
    errors.push(fieldError.notSupported(path, propagationPolicy, [...propagationPolicies, "nil"]));
  }
  errors.push(...validateDryRun(dryRun, FieldPath.root("dryRun")));
  if (options.ignoreStoreReadErrorWithClusterBreakingPotential) {
    const unsafe = FieldPath.root("ignoreStoreReadErrorWithClusterBreakingPotential");
    const others = ["dryRun", "propagationPolicy", "orphanDependents", "gracePeriodSeconds", "preconditions"] as const;
    for (const other of others) {
      if (options[other] === undefined || (other === "dryRun" && dryRun?.length === 0)) continue;
      errors.push(fieldError.invalid(unsafe, true, `cannot be set together with .${other}`));
    }
  }
  return errors;
}

export function validateDryRun(dryRun: readonly string[] | undefined, path: FieldPath): FieldError[] {
  const known = dryRun?.every((value) => value === "All") ?? true;
  return known ? [] : [fieldError.notSupported(path, dryRun, ["All"])];
}
