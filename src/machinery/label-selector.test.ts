import assert from "node:assert/strict";
import { test } from "node:test";
import {
  compileLabelSelector,
  labelRequirement,
  printLabelSelector,
  SelectorError,
  selectorFromLabels,
} from "./label-selector.ts";
import { parseLabelSelector } from "./label-selector-text.ts";

const matching: [text: string, labels: Record<string, string>, matches: boolean][] = [
  ["", {}, true],
  ["a=b", { a: "b" }, true],
  ["a==b", { a: "c" }, false],
  ["a!=b", {}, true],
  ["a!=b", { a: "b" }, false],
  ["a in (b,c)", { a: "c" }, true],
  ["a in (b,c)", {}, false],
  ["a notin (b,c)", {}, true],
  ["a notin (b,c)", { a: "c" }, false],
  ["a", { a: "" }, true],
  ["!a", { a: "" }, false],
  ["a>1,a<10", { a: "5" }, true],
  ["a>9223372036854775806", { a: "9223372036854775807" }, true],
  ["a>1", { a: "x" }, false],
  ["a=", { a: "" }, true],
  ["a in ()", { a: "" }, true],
  ["constructor", {}, false],
  ["!toString", {}, true],
  ["a=b,c=d", { a: "b", c: "d" }, true],
];

test("label selector: matches", () => {
  for (const [text, labels, matches] of matching) {
    assert.equal(parseLabelSelector(text).matches(labels), matches, `${text} on ${JSON.stringify(labels)}`);
  }
  assert.equal(parseLabelSelector("a").matches(undefined), false);
});

const key =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

const refused: [text: string, message: string][] = [
  ["x===y", "unable to parse requirement: found '=', expected: identifier"],
  ["a,,b", "found ',', expected: identifier after ','"],
  [",a", "found ',', expected: !, identifier, or 'end of string'"],
  ["a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"],
  ["a=b c", "found 'c', expected: ',' or 'end of string'"],
  ["a in b", "unable to parse requirement: found 'b' expected: '('"],
  ["a in (b", "unable to parse requirement: found '', expected: ',' or ')'"],
  ["a in (=)", "unable to parse requirement: found '=', expected: ',', ')' or identifier"],
  ["!", "unable to parse requirement: found '', expected: identifier"],
  ["!a=b", "found '=', expected: ',' or 'end of string'"],
  ["-", `unable to parse requirement: <nil>: Invalid value: "-": ${key}`],
  [
    "a>x",
    `unable to parse requirement: values[0]: Invalid value: "x": for 'Gt', 'Lt' operators, the value must be an integer`,
  ],
];

test("label selector: bad text is refused in upstream's words", () => {
  for (const [text, message] of refused) {
    assert.throws(() => parseLabelSelector(text), { name: "SelectorError", message }, text);
  }
});

test("label selector: prints canonically, sorted by key", () => {
  const text = "z,b in (2,1),!c,a=1,d notin (x),e==1,f!=2,g>3,h<4";
  assert.equal(parseLabelSelector(text).toString(), "a=1,b in (1,2),!c,d notin (x),e==1,f!=2,g>3,h<4,z");
});

test("label selector: words that are operators elsewhere may be keys and values", () => {
  assert.equal(parseLabelSelector("in in (notin)").matches({ in: "notin" }), true);
});

test("label selector: the object form", () => {
  assert.equal(compileLabelSelector(undefined).matches({}), false);
  assert.equal(compileLabelSelector({}).matches(undefined), true);
  const selector = compileLabelSelector({
    matchLabels: { app: "web" },
    matchExpressions: [
      { key: "tier", operator: "In", values: ["a", "b"] },
      { key: "old", operator: "DoesNotExist" },
    ],
  });
  assert.equal(selector.matches({ app: "web", tier: "b" }), true);
  assert.equal(selector.matches({ app: "web", tier: "b", old: "" }), false);
  assert.equal(selector.toString(), "app=web,!old,tier in (a,b)");
  assert.equal(selector.exactValue("app"), "web");
  assert.equal(selector.exactValue("tier"), undefined);
  const odd = { matchExpressions: [{ key: "a", operator: "Odd" }] };
  assert.throws(() => compileLabelSelector(odd), { message: '"Odd" is not a valid label selector operator' });
  assert.equal(printLabelSelector(odd), "<error>");
  assert.equal(printLabelSelector({}), "<none>");
});

test("label selector: requirements are checked", () => {
  assert.throws(() => labelRequirement("a", "in", []), {
    message: "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty",
  });
  assert.throws(() => labelRequirement("a", "exists", ["x"]), SelectorError);
  assert.equal(selectorFromLabels({ a: "b" }).toString(), "a=b");
  assert.equal(selectorFromLabels(undefined).everything, true);
});
