import assert from "node:assert/strict";
import { test } from "node:test";
import { FieldPath, fieldError, printFieldErrors } from "./field.ts";

const path = FieldPath.root("spec").child("a", "b").index(0).key("x");

test("field: paths print as upstream's", () => {
  assert.equal(path.toString(), "spec.a.b[0][x]");
  assert.equal(FieldPath.none.toString(), "<nil>");
  assert.equal(FieldPath.none.child("a", "b").toString(), "a.b");
});

test("field: messages are those of 1.36", () => {
  const cases: [error: { reason: string; message: string }, reason: string, message: string][] = [
    [fieldError.required(path), "FieldValueRequired", "Required value"],
    [fieldError.required(path, "because"), "FieldValueRequired", "Required value: because"],
    [fieldError.invalid(path, 'a"b', "no"), "FieldValueInvalid", 'Invalid value: "a\\"b": no'],
    [fieldError.invalid(path, -1, "no"), "FieldValueInvalid", "Invalid value: -1: no"],
    [fieldError.invalid(path, undefined, "no"), "FieldValueInvalid", "Invalid value: null: no"],
    [fieldError.invalid(path, { a: ["<"] }, "no"), "FieldValueInvalid", 'Invalid value: {"a":["\\u003c"]}: no'],
    [fieldError.typeInvalid(path, true, "no"), "FieldValueTypeInvalid", "Invalid value: true: no"],
    [fieldError.forbidden(path, "no"), "FieldValueForbidden", "Forbidden: no"],
    [fieldError.duplicate(path, "a"), "FieldValueDuplicate", 'Duplicate value: "a"'],
    [fieldError.notFound(path, "a"), "FieldValueNotFound", 'Not found: "a"'],
    [
      fieldError.notSupported(path, "x", ["a", "b"]),
      "FieldValueNotSupported",
      'Unsupported value: "x": supported values: "a", "b"',
    ],
    [fieldError.notSupported(path, ["x"], []), "FieldValueNotSupported", 'Unsupported value: ["x"]'],
    [fieldError.tooLong(path, 1), "FieldValueTooLong", "Too long: may not be more than 1 byte"],
    [fieldError.tooLongCharacters(path, 2), "FieldValueTooLong", "Too long: may not be more than 2 characters"],
    [fieldError.tooShort(path, 3), "FieldValueTooShort", "Too short: must be at least 3 characters"],
    [fieldError.tooMany(path, 5, 1), "FieldValueTooMany", "Too many: 5: must have at most 1 item"],
    [fieldError.tooFew(path, 0, 2), "FieldValueTooFew", "Too few: 0: must have at least 2 items"],
    [fieldError.internal(path, "no"), "InternalError", "Internal error: no"],
  ];
  for (const [error, reason, message] of cases) {
    assert.deepEqual(error, { reason, field: "spec.a.b[0][x]", message });
  }
});

test("field: several errors as one text, each once", () => {
  const error = fieldError.required(FieldPath.root("a"));
  assert.equal(printFieldErrors([error]), "a: Required value");
  assert.equal(
    printFieldErrors([error, fieldError.required(FieldPath.root("b")), error]),
    "[a: Required value, b: Required value]",
  );
});
