import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import { resourceQuotaKind } from "./resource-quota.ts";

const create = (spec: object) => tryCreate(resourceQuotaKind, { spec });

test("quotas: what is refused", () => {
  const exists =
    "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
  const at = "spec.scopeSelector.matchExpressions";
  const select = (...matchExpressions: object[]) => ({ hard: { pods: "1" }, scopeSelector: { matchExpressions } });
  const cases: [object, string[]][] = [
    [
      {
        hard: {
          pods: "1",
          "count/secrets": "1",
          "requests.example.com/gpu": "1",
          "gold.storageclass.storage.k8s.io/requests.storage": "1",
        },
      },
      [],
    ],
    [
      { hard: { disk: "1" } },
      [
        'spec.hard[disk]: Invalid value: "disk": must be a standard resource type or fully qualified',
        'spec.hard[disk]: Invalid value: "disk": must be a standard resource for quota',
      ],
    ],
    [{ hard: { pods: "1.5" } }, ['spec.hard[pods]: Invalid value: "1500m": must be an integer']],
    [{ hard: { pods: "-1" } }, ['spec.hard[pods]: Invalid value: "-1": must be greater than or equal to 0']],
    [
      { hard: { pods: "1" }, scopes: ["Odd", "BestEffort", "NotBestEffort"] },
      [
        'spec.scopes: Invalid value: ["Odd","BestEffort","NotBestEffort"]: unsupported scope',
        'spec.scopes: Invalid value: ["Odd","BestEffort","NotBestEffort"]: conflicting scopes',
      ],
    ],
    [
      { hard: { "requests.cpu": "1" }, scopes: ["BestEffort"] },
      ['spec.scopes: Invalid value: ["BestEffort"]: unsupported scope applied to resource'],
    ],
    [{ hard: { persistentvolumeclaims: "1" }, scopes: ["VolumeAttributesClass"] }, []],
    [
      select({ scopeName: "PriorityClass", operator: "In" }),
      [
        `${at}.values: Required value: must be at least one value when \`operator\` is 'In' or 'NotIn' for scope selector`,
      ],
    ],
    [
      select({ scopeName: "BestEffort", operator: "NotIn", values: ["x"] }),
      [`${at}.operator: Invalid value: "NotIn": ${exists}`],
    ],
    [
      select({ scopeName: "Odd", operator: "Exists", values: ["x"] }, { scopeName: "PriorityClass", operator: "Is" }),
      [
        `${at}.scopeName: Invalid value: "Odd": unsupported scope`,
        `${at}.values: Invalid value: ["x"]: must be no value when \`operator\` is 'Exist' or 'DoesNotExist' for scope selector`,
        `${at}.operator: Invalid value: "Is": not a valid selector operator`,
      ],
    ],
  ];
  for (const [spec, errors] of cases) assert.deepEqual(create(spec).errors, errors, JSON.stringify(spec));
});

test("scopes are for good, amounts aren't", () => {
  const { object: old } = create({ hard: { pods: "1" }, scopes: ["Terminating"] });
  const change = (spec: object) =>
    tryUpdate(resourceQuotaKind, old, { change: (quota) => Object.assign(quota, { spec: { ...old.spec, ...spec } }) })
      .errors;
  assert.deepEqual(change({ hard: { pods: "2" } }), []);
  assert.deepEqual(change({ scopes: ["NotTerminating"] }), [
    'spec.scopes: Invalid value: ["NotTerminating"]: field is immutable',
  ]);
});

test("the table shows what is used", () => {
  const { object: old } = create({ hard: { pods: "2" } });
  const status = { hard: { pods: "2", "limits.cpu": "4", "count/secrets": "9" }, used: { pods: "1" } };
  const { object, errors } = tryUpdate(resourceQuotaKind, old, {
    change: (quota) => Object.assign(quota, { status }),
    subresource: "status",
  });
  assert.deepEqual(errors, []);
  const { Request, Limit } = tryColumns(resourceQuotaKind, object);
  assert.deepEqual([Request, Limit], ["count/secrets: 0/9, pods: 1/2", "limits.cpu: 0/4"]);
});
