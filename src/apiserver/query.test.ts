import assert from "node:assert/strict";
import { test } from "node:test";
import { Query } from "./query.ts";

test("query: the first value counts, plus is a space, what can't be read is left out", () => {
  const query = new Query("a=1&a=2&b=x+y&c=%zz&d;e=1&f&g=%C3%A9&=x");
  assert.equal(query.get("a"), "1");
  assert.deepEqual(query.all("a"), ["1", "2"]);
  assert.equal(query.get("b"), "x y");
  assert.equal(query.has("c"), false);
  assert.equal(query.has("d"), false);
  assert.equal(query.has("f"), true);
  assert.equal(query.get("g"), "é");
});

test("query: booleans are anything but an explicit no", () => {
  const query = new Query("a&b=0&c=false&d=False&e=maybe&f=true");
  assert.deepEqual(
    ["a", "b", "c", "d", "e", "f", "none"].map((name) => query.boolean(name)),
    [true, false, false, false, true, true, false],
  );
  assert.equal(query.optionalBoolean("none"), undefined);
});
