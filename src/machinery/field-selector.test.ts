import assert from "node:assert/strict";
import { test } from "node:test";
import { escapeFieldValue, parseFieldSelector } from "./field-selector.ts";
import { SelectorError } from "./label-selector.ts";

const reader = (fields: Record<string, string>) => (name: string) => fields[name] ?? "";

test("field selector: matches", () => {
  const selector = parseFieldSelector("status.phase!=Failed,metadata.name=a");
  assert.equal(selector.matches(reader({ "metadata.name": "a" })), true);
  assert.equal(selector.matches(reader({ "metadata.name": "a", "status.phase": "Failed" })), false);
  assert.equal(selector.exactValue("metadata.name"), "a");
  assert.equal(selector.exactValue("status.phase"), undefined);
  assert.equal(selector.toString(), "metadata.name=a,status.phase!=Failed");
  assert.equal(parseFieldSelector("").everything, true);
  assert.equal(parseFieldSelector(",").everything, true);
});

test("field selector: values are escaped", () => {
  const value = "a=b,c\\d";
  const text = `x=${escapeFieldValue(value)}`;
  assert.equal(text, "x=a\\=b\\,c\\\\d");
  assert.equal(parseFieldSelector(text).exactValue("x"), value);
  assert.equal(parseFieldSelector(text).toString(), text);
});

test("field selector: bad text is refused in upstream's words", () => {
  const refused: [string, string][] = [
    ["a", "invalid selector: 'a'; can't understand 'a'"],
    ["a=b=c", "invalid field selector: unescaped character in value: 61"],
    ["a=\\x", "invalid field selector: invalid escape sequence: \\x"],
    ["a=b\\", "invalid field selector: invalid escape sequence: \\"],
  ];
  for (const [text, message] of refused) assert.throws(() => parseFieldSelector(text), { message }, text);
});

test("field selector: the kind renames, drops and refuses fields", () => {
  const selector = parseFieldSelector("old=1,gone=2", (field, value) => {
    if (field === "gone") return undefined;
    return { field: "new", value };
  });
  assert.deepEqual(selector.requirements, [{ field: "new", operator: "=", value: "1" }]);
  const refuse = () => {
    throw new SelectorError("field label not supported: x");
  };
  assert.throws(() => parseFieldSelector("x=1", refuse), { message: "field label not supported: x" });
});
