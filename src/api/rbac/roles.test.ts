import assert from "node:assert/strict";
import { test } from "node:test";
import { tryCreate, tryUpdate } from "../trial.ts";
import { clusterRoleKind } from "./cluster-role.ts";
import { roleKind } from "./role.ts";

const rule = { verbs: ["get"], apiGroups: [""], resources: ["pods"] };
const noVerbs = "rules[0].verbs: Required value: verbs must contain at least one value";
const noGroups = "rules[0].apiGroups: Required value: resource rules must supply at least one api group";
const noResources = "rules[0].resources: Required value: resource rules must supply at least one resource";
const both =
  'rules[0].nonResourceURLs: Invalid value: ["/healthz"]: rules cannot apply to both regular resources and non-resource URLs';
const paths = { verbs: ["get"], nonResourceURLs: ["/healthz"] };

test("role: what is refused", () => {
  const namespaced =
    'rules[0].nonResourceURLs: Invalid value: ["/healthz"]: namespaced rules cannot apply to non-resource URLs';
  const cases: [object, string[]][] = [
    [{}, []],
    [{ rules: [rule] }, []],
    [{ rules: [{}] }, [noVerbs, noGroups, noResources]],
    [{ rules: [{ ...rule, verbs: [] }] }, [noVerbs]],
    [{ rules: [paths] }, [namespaced]],
    [{ rules: [{ ...rule, ...paths }] }, [namespaced, both]],
  ];
  for (const [sent, expected] of cases) assert.deepEqual(tryCreate(roleKind, sent).errors, expected);
});

test("cluster role: what is refused", () => {
  const at = "aggregationRule.clusterRoleSelectors";
  const selecting = (...clusterRoleSelectors: object[]) => ({ rules: null, aggregationRule: { clusterRoleSelectors } });
  const cases: [object, string[]][] = [
    [{ rules: [rule, paths] }, []],
    [{ rules: [{ ...rule, ...paths }] }, [both]],
    [selecting({ matchLabels: { a: "b" } }), []],
    [selecting(), [`${at}: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil`]],
    [
      selecting({ matchExpressions: [{ key: "a", operator: "Odd" }] }),
      [
        `${at}[0].matchExpressions[0].operator: Invalid value: "Odd": not a valid selector operator`,
        `${at}[0]: Invalid value: null: invalid label selector.`,
      ],
    ],
  ];
  for (const [sent, expected] of cases) assert.deepEqual(tryCreate(clusterRoleKind, sent).errors, expected);
});

test("roles: an update is checked twice, as upstream does", () => {
  for (const kind of [roleKind, clusterRoleKind]) {
    const { object } = tryCreate(kind, { rules: [rule] });
    const { errors } = tryUpdate(kind, object, {
      change(role) {
        role.rules = [{ verbs: [], apiGroups: [""], resources: ["pods"] }];
      },
    });
    assert.deepEqual(errors, [noVerbs, noVerbs], kind.kind);
  }
});

test("roles: names are nearly anything", () => {
  for (const name of ["system:node", "a b", "Ä"]) assert.deepEqual(roleKind.validateName?.(name, false), []);
  assert.deepEqual(roleKind.validateName?.("a/b", false), ["may not contain '/'"]);
  assert.deepEqual(roleKind.validateName?.("..", false), ["may not be '..'"]);
});
