import assert from "node:assert/strict";
import { test } from "node:test";
import type { FieldError } from "./field.ts";
import { validateDeleteOptions, validatePatchOptions, validateWriteOptions } from "./options-validation.ts";

const print = (errors: readonly FieldError[]) => errors.map(({ field, message }) => `${field}: ${message}`);

test("options: of writes", () => {
  assert.deepEqual(validateWriteOptions({ dryRun: ["All"], fieldValidation: "Warn", fieldManager: "kubectl" }), []);
  assert.deepEqual(
    print(validateWriteOptions({ dryRun: ["Some"], fieldValidation: "Odd", fieldManager: "m".repeat(129) })),
    [
      "fieldManager: Too long: may not be more than 128 bytes",
      'dryRun: Unsupported value: ["Some"]: supported values: "All"',
      'fieldValidation: Unsupported value: "Odd": supported values: "", "Ignore", "Strict", "Warn"',
    ],
  );
});

test("options: of patches", () => {
  assert.deepEqual(print(validatePatchOptions({ apply: true })), [
    "fieldManager: Required value: is required for apply patch",
  ]);
  assert.deepEqual(print(validatePatchOptions({ apply: false, force: true })), [
    "force: Forbidden: may not be specified for non-apply patch",
  ]);
  assert.deepEqual(validatePatchOptions({ apply: true, force: true, fieldManager: "m" }), []);
});

test("options: of deletions", () => {
  assert.deepEqual(validateDeleteOptions({ propagationPolicy: "Orphan", gracePeriodSeconds: 0 }), []);
  assert.deepEqual(print(validateDeleteOptions({ propagationPolicy: "Odd", orphanDependents: true })), [
    'propagationPolicy: Invalid value: "Odd": orphanDependents and deletionPropagation cannot be both set',
    'propagationPolicy: Unsupported value: "Odd": supported values: "Foreground", "Background", "Orphan", "nil"',
  ]);
  const unsafe = { ignoreStoreReadErrorWithClusterBreakingPotential: true, gracePeriodSeconds: 1 };
  assert.deepEqual(print(validateDeleteOptions(unsafe)), [
    "ignoreStoreReadErrorWithClusterBreakingPotential: Invalid value: true: cannot be set together with .gracePeriodSeconds",
  ]);
});
