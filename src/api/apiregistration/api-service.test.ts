import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import { apiServiceKind } from "./api-service.ts";

const spec = { group: "e.com", version: "v1", groupPriorityMinimum: 100, versionPriority: 10 };
const service = { namespace: "n", name: "s" };
const made = (more: object = {}, name = "v1.e.com") =>
  tryCreate(apiServiceKind, { metadata: { name }, spec: { ...spec, ...more } });

test("API service: one that is served here is available", () => {
  const { object, errors } = made();
  assert.deepEqual(errors, []);
  assert.deepEqual(object.status?.conditions, [
    {
      type: "Available",
      status: "True",
      lastTransitionTime: "2026-01-02T03:04:05Z",
      reason: "Local",
      message: "Local APIServices are always available",
    },
  ]);
  const { Age: _, ...cells } = tryColumns(apiServiceKind, object);
  assert.deepEqual(cells, { Service: "Local", Available: "True" });
});

test("API service: one that a service serves", () => {
  const { object, errors } = made({ service });
  assert.deepEqual([errors, object.spec?.service, object.status], [[], { ...service, port: 443 }, {}]);
  const row = (status: object) => {
    const { Service, Available } = tryColumns(apiServiceKind, { ...object, status });
    return [Service, Available];
  };
  assert.deepEqual(row({}), ["n/s", "Unknown"]);
  const condition = { type: "Available", status: "False", reason: "MissingEndpoints" };
  assert.deepEqual(row({ conditions: [condition] }), ["n/s", "False (MissingEndpoints)"]);
});

test("API service: what is refused", () => {
  const label =
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
  const caBundle = "AAAA";
  const cases: [object, string[], string?][] = [
    [{}, [], "v1.e.com"],
    [{}, ['metadata.name: Invalid value: "x": must be `spec.version+"."+spec.group`: "v1.e.com"'], "x"],
    [{ group: "" }, [], "v1."],
    [
      { group: "", version: "v2" },
      ["spec.group: Required value: only v1 may have an empty group and it better be legacy kube"],
      "v2.",
    ],
    [{ version: "1" }, [`spec.version: Invalid value: "1": ${label}`], "1.e.com"],
    [
      { groupPriorityMinimum: 0, versionPriority: 1001 },
      [
        "spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000",
        "spec.versionPriority: Invalid value: 1001: must be positive and less than 1000",
      ],
    ],
    [
      { caBundle, insecureSkipTLSVerify: true },
      [
        'spec.caBundle: Invalid value: "3 bytes": local APIServices may not have a caBundle',
        "spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify",
      ],
    ],
    [
      { service: { port: 0 } },
      [
        "spec.service.namespace: Required value",
        "spec.service.name: Required value",
        "spec.service.port: Invalid value: 0: port is not valid: must be between 1 and 65535, inclusive",
      ],
    ],
    [
      { service, caBundle, insecureSkipTLSVerify: true },
      ["spec.insecureSkipTLSVerify: Invalid value: true: may not be true if caBundle is present"],
    ],
  ];
  for (const [more, expected, name] of cases) assert.deepEqual(made(more, name).errors, expected);
});

test("API service: spec and status have each their own writer", () => {
  const { object } = made({ service });
  const change = (each: typeof object) => {
    each.spec = { ...spec, groupPriorityMinimum: 200, service };
    each.status = { conditions: [{ type: "Available", status: "Maybe" }] };
  };
  const own = tryUpdate(apiServiceKind, object, { change });
  assert.deepEqual([own.errors, own.object.spec?.groupPriorityMinimum, own.object.status], [[], 200, {}]);
  const status = tryUpdate(apiServiceKind, object, { change, subresource: "status" });
  assert.equal(status.object.spec?.groupPriorityMinimum, 100);
  assert.deepEqual(status.errors, [
    'status.conditions[0].status: Unsupported value: "Maybe": supported values: "True", "False", "Unknown"',
  ]);
});
