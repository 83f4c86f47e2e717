import assert from "node:assert/strict";
import { test } from "node:test";
import { parseProxyName } from "./proxy-name.ts";

test("names of what is proxied to", () => {
  const cases: readonly [string, object | undefined][] = [
    ["a", { scheme: "", name: "a", port: "" }],
    ["a:80", { scheme: "", name: "a", port: "80" }],
    ["a:http", { scheme: "", name: "a", port: "http" }],
    ["https:a:443", { scheme: "https", name: "a", port: "443" }],
    [":a:", { scheme: "", name: "a", port: "" }],
    ["", undefined],
    [":80", undefined],
    ["ftp:a:21", undefined],
    ["http:a:1:2", undefined],
  ];
  for (const [text, expected] of cases) assert.deepEqual(parseProxyName(text), expected, text);
});
