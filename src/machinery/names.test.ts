import assert from "node:assert/strict";
import { test } from "node:test";
import * as names from "./names.ts";

const label =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const qualified =
  "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const subdomain =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

const cases: [check: (value: string) => string[], value: string, messages: string[]][] = [
  [names.isDns1123Label, "a-1", []],
  [names.isDns1123Label, "", [label]],
  [names.isDns1123Label, "a.b", ["must not contain dots"]],
  [names.isDns1123Label, "A", [label]],
  [names.isDns1123Label, "a".repeat(64), ["must be no more than 63 characters"]],
  [names.isDns1123Subdomain, "a.b-c.1", []],
  [names.isDns1123Subdomain, "a..b", [subdomain]],
  [names.isDns1123Subdomain, "a".repeat(254), ["must be no more than 253 characters"]],
  [names.isDns1123SubdomainCaseless, "A.example", []],
  [names.isWildcardDns1123Subdomain, "*.example.com", []],
  [names.isDns1035Label, "a1", []],
  [
    names.isDns1035Label,
    "1a",
    [
      "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
    ],
  ],
  [names.isQualifiedName, "example.com/My_name", []],
  [names.isQualifiedName, "/x", ["prefix part must be non-empty"]],
  [names.isQualifiedName, "x/", ["name part must be non-empty", `name part ${qualified}`]],
  [names.isQualifiedName, "A/x", [`prefix part ${subdomain}`]],
  [names.isQualifiedName, "a b", [`name part ${qualified}`]],
  [names.isQualifiedName, "a".repeat(64), ["name part must be no more than 63 bytes"]],
  [
    names.isQualifiedName,
    "a/b/c",
    [`a valid label key ${qualified} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`],
  ],
  [names.isLabelValue, "", []],
  [names.isLabelValue, "1.2_x", []],
  [
    names.isLabelValue,
    "c d",
    [
      "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
    ],
  ],
  [names.isPortName, "http-2", []],
  [
    names.isPortName,
    "",
    [
      "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
      "must contain at least one letter (a-z)",
    ],
  ],
  [names.isPortName, "-a--b", ["must not contain consecutive hyphens", "must not begin or end with a hyphen"]],
  [names.isPortName, "abcdefghijklmnop", ["must be no more than 15 characters"]],
  [names.isConfigMapKey, "a.b_C-1", []],
  [names.isConfigMapKey, "..", ["must not be '..'"]],
  [names.isConfigMapKey, "..a", ["must not start with '..'"]],
  [
    names.isConfigMapKey,
    "a b",
    [
      "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
    ],
  ],
  [names.isRelaxedEnvironmentName, "a b!", []],
  [
    names.isRelaxedEnvironmentName,
    "a=b",
    ["a valid environment variable name must consist only of printable ASCII characters other than '='"],
  ],
  [names.isRelaxedEnvironmentName, "", ["environment variable name must be non-empty"]],
  [
    names.isPercent,
    "5",
    [
      "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
    ],
  ],
  [names.isPathSegmentName, "a:b", []],
  [names.isPathSegmentName, "..", ["may not be '..'"]],
  [names.isPathSegmentName, "a/%", ["may not contain '/'", "may not contain '%'"]],
  [names.isDecimalInteger, "-10", []],
  [names.isDecimalInteger, "07", ["must be a valid decimal integer in canonical form"]],
  [names.isFullyQualifiedName, "a.b", ["should be a domain with at least three segments separated by dots"]],
  [names.isDomainPrefixedKey, "a", ['must be a domain-prefixed key (such as "acme.io/foo")']],
];

test("names: each check answers upstream's messages", () => {
  for (const [check, value, messages] of cases) assert.deepEqual(check(value), messages, `${check.name}(${value})`);
});

test("names: lengths count bytes", () => {
  assert.deepEqual(names.isLabelValue("é".repeat(32))[0], "must be no more than 63 bytes");
});

test("names: a generated name is checked without its trailing dash", () => {
  assert.deepEqual(names.nameIsDnsSubdomain("web-", true), []);
  assert.notDeepEqual(names.nameIsDnsSubdomain("web-", false), []);
  assert.deepEqual(names.nameIsDns1035Label("a-", true), []);
});

test("names: ranges", () => {
  assert.deepEqual(names.isPortNumber(0), ["must be between 1 and 65535, inclusive"]);
  assert.deepEqual(names.isUserId(2 ** 32), ["must be between 0 and 2147483647, inclusive"]);
  assert.deepEqual(names.isGroupId(0), []);
});

test("names: domains and paths name the part that is wrong", () => {
  assert.equal(names.isFullyQualifiedDomainName("example.com."), undefined);
  assert.deepEqual(names.isFullyQualifiedDomainName("com."), {
    value: "com",
    message: "should be a domain with at least two segments separated by dots",
  });
  assert.deepEqual(names.isDomainPrefixedPath("acme.io/foo"), []);
  assert.deepEqual(names.isDomainPrefixedPath("acme.io"), [
    { value: "acme.io", message: 'must be a domain-prefixed path (such as "acme.io/foo")' },
  ]);
  assert.deepEqual(names.isDomainPrefixedPath("acme.io/ö"), [
    { value: "ö", message: "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')" },
  ]);
});
