import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import { flowSchemaKind } from "./flow-schema.ts";
import { mandatoryFlowSchemas } from "./mandatory.ts";

const priorityLevelConfiguration = { name: "level" };
const made = (spec: object = {}, name = "a") =>
  tryCreate(flowSchemaKind, { metadata: { name }, spec: { priorityLevelConfiguration, ...spec } });
const group = { kind: "Group", group: { name: "g" } };
const resourceRule = { verbs: ["get"], apiGroups: ["*"], resources: ["pods"], namespaces: ["n"] };
const rule = { subjects: [group], resourceRules: [resourceRule] };
const withRule = (more: object) => ({ rules: [{ ...rule, ...more }] });
const withResource = (more: object) => withRule({ resourceRules: [{ ...resourceRule, ...more }] });
const withPaths = (nonResourceURLs: string[]) => withRule({ nonResourceRules: [{ verbs: ["*"], nonResourceURLs }] });

test("flow schema: what a client leaves out", () => {
  const { object, errors } = made({ rules: [rule] });
  assert.deepEqual([errors, object.spec?.matchingPrecedence, object.status], [[], 1000, {}]);
  const { Age: _, ...cells } = tryColumns(flowSchemaKind, object);
  assert.deepEqual(cells, {
    PriorityLevel: "level",
    MatchingPrecedence: 1000,
    DistinguisherMethod: "<none>",
    MissingPL: "?",
  });
});

test("flow schema: what is refused", () => {
  const at = "spec.matchingPrecedence";
  const cases: [object, string[]][] = [
    [{ matchingPrecedence: -1 }, [`${at}: Invalid value: -1: must be a positive value`]],
    [{ matchingPrecedence: 10_001 }, [`${at}: Invalid value: 10001: must not be greater than 10000`]],
    [
      { matchingPrecedence: 1 },
      [`${at}: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1`],
    ],
    [
      { distinguisherMethod: { type: "Odd" } },
      ['spec.distinguisherMethod.type: Unsupported value: {"Type":"Odd"}: supported values: "ByNamespace", "ByUser"'],
    ],
    [
      { priorityLevelConfiguration: { name: "" } },
      ["spec.priorityLevelConfiguration.name: Required value: must reference a priority level"],
    ],
  ];
  for (const [spec, expected] of cases) assert.deepEqual(made(spec).errors, expected);
});

test("flow schema: whom a rule is about", () => {
  const at = "spec.rules[0]";
  const account = (serviceAccount?: object) => [{ kind: "ServiceAccount", serviceAccount }];
  const one = "at least one of resourceRules and nonResourceRules has to be non-empty";
  const cases: [object, string[]][] = [
    [
      { rules: [{}] },
      [`${at}.subjects: Required value: subjects must contain at least one value`, `${at}: Required value: ${one}`],
    ],
    [
      withRule({ subjects: [{ kind: "Robot" }] }),
      [`${at}.subjects[0].kind: Unsupported value: "Robot": supported values: "Group", "ServiceAccount", "User"`],
    ],
    [
      withRule({ subjects: [{ kind: "User", group: { name: "g" } }] }),
      [
        `${at}.subjects[0].user: Required value: user is required when subject kind is 'User'`,
        `${at}.subjects[0].group: Forbidden: group is forbidden when subject kind is not 'Group'`,
      ],
    ],
    [
      withRule({ subjects: account() }),
      [
        `${at}.subjects[0].serviceAccount: Required value: serviceAccount is required when subject kind is 'ServiceAccount'`,
      ],
    ],
    [
      withRule({ subjects: account({}) }),
      [
        `${at}.subjects[0].serviceAccount.name: Required value`,
        `${at}.subjects[0].serviceAccount.namespace: Required value: must specify namespace for service account`,
      ],
    ],
    [withRule({ subjects: account({ name: "*", namespace: "n" }) }), []],
  ];
  for (const [spec, expected] of cases) assert.deepEqual(made(spec).errors, expected);
});

test("flow schema: which requests a rule is about", () => {
  const resources = "spec.rules[0].resourceRules[0]";
  const paths = "spec.rules[0].nonResourceRules[0].nonResourceURLs";
  const cases: [object, string[]][] = [
    [
      withResource({ verbs: [], apiGroups: [], resources: [], namespaces: [] }),
      [
        `${resources}.verbs: Required value: verbs must contain at least one value`,
        `${resources}.apiGroups: Required value: resource rules must supply at least one api group`,
        `${resources}.resources: Required value: resource rules must supply at least one resource`,
        `${resources}.namespaces: Required value: resource rules that are not cluster scoped must supply at least one namespace`,
      ],
    ],
    [withResource({ namespaces: undefined, clusterScope: true }), []],
    [
      withResource({ verbs: ["*", "get"], apiGroups: ["*", "a"] }),
      [
        `${resources}.verbs: Invalid value: ["*","get"]: if '*' is present, must not specify other verbs`,
        `${resources}.apiGroups: Invalid value: ["*","a"]: if '*' is present, must not specify other api groups`,
      ],
    ],
    [
      withResource({ verbs: ["fly"] }),
      [
        `${resources}.verbs: Unsupported value: ["fly"]: supported values: "create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"`,
      ],
    ],
    [withPaths(["/", "/apis/*", "/healthz"]), []],
    [withPaths([]), [`${paths}: Required value: nonResourceURLs must contain at least one value`]],
    [
      withPaths(["", "a", "/a b", "/a//b", "/a*", "/*/b"]),
      [
        "must not be empty",
        "must start with slash",
        "must not contain white-space",
        "must not contain double slash",
        "wildcard can only do suffix matching",
        "wildcard can only do suffix matching",
      ].map((why, i) => `${paths}[${i}]: Invalid value: "${["", "a", "/a b", "/a//b", "/a*", "/*/b"][i]}": ${why}`),
    ],
  ];
  for (const [spec, expected] of cases) assert.deepEqual(made(spec).errors, expected);
});

test("flow schema: those that every server has stay as they are", () => {
  for (const [name, spec] of Object.entries(mandatoryFlowSchemas)) assert.deepEqual(made(spec, name).errors, [], name);
  const [error] = made({ ...mandatoryFlowSchemas["catch-all"], matchingPrecedence: 9 }, "catch-all").errors;
  assert.match(
    error ?? "",
    /^spec: Invalid value: \{"PriorityLevelConfiguration":\{"Name":"catch-all"\},"MatchingPrecedence":9,"DistinguisherMethod":\{"Type":"ByUser"\},"Rules":\[.*\]\}: spec of 'catch-all' must equal the fixed value$/,
  );
});

test("flow schema: conditions are written through the status", () => {
  const { object } = made();
  const { errors, object: after } = tryUpdate(flowSchemaKind, object, {
    subresource: "status",
    change(schema) {
      schema.spec = { priorityLevelConfiguration: { name: "other" } };
      schema.metadata.labels = { a: "b" };
      schema.status = { conditions: [{ type: "Dangling", status: "True" }, { type: "Dangling" }, {}] };
    },
  });
  assert.deepEqual(errors, [
    'status.conditions[1].type: Duplicate value: "Dangling"',
    "status.conditions[2].type: Required value: must not be empty",
  ]);
  assert.deepEqual([after.spec?.priorityLevelConfiguration.name, after.metadata.labels], ["level", undefined]);
  assert.equal(tryColumns(flowSchemaKind, after).MissingPL, "True");
});
