import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import { clusterRoleBindingKind } from "./cluster-role-binding.ts";
import { roleBindingKind } from "./role-binding.ts";

const apiGroup = "rbac.authorization.k8s.io";
const roleRef = { apiGroup, kind: "ClusterRole", name: "view" };
const alice = { kind: "User", name: "alice" };
const account = { kind: "ServiceAccount", name: "default", namespace: "n" };
const made = (more: object = {}) => tryCreate(roleBindingKind, { roleRef, subjects: [alice, account], ...more });

test("bindings: users and groups are in RBAC's group, accounts in none", () => {
  const { object, errors } = made({ roleRef: { kind: "ClusterRole", name: "view" } });
  assert.deepEqual(errors, []);
  assert.deepEqual(object.roleRef, roleRef);
  assert.deepEqual(object.subjects, [{ ...alice, apiGroup }, account]);
});

test("bindings: what is refused", () => {
  const unsupported = (field: string, value: string, ...supported: string[]) =>
    `${field}: Unsupported value: "${value}": supported values: ${supported.map((each) => `"${each}"`).join(", ")}`;
  const refusing: [object, string[]][] = [
    [{ roleRef: { ...roleRef, apiGroup: "x" } }, [unsupported("roleRef.apiGroup", "x", apiGroup)]],
    [{ roleRef: { ...roleRef, kind: "Group" } }, [unsupported("roleRef.kind", "Group", "Role", "ClusterRole")]],
    [{ roleRef: { ...roleRef, name: "" } }, ["roleRef.name: Required value"]],
    [{ roleRef: { ...roleRef, name: "a/b" } }, [`roleRef.name: Invalid value: "a/b": may not contain '/'`]],
    [{ subjects: [{ ...alice, name: "" }] }, ["subjects[0].name: Required value"]],
    [{ subjects: [{ ...alice, apiGroup: "x" }] }, [unsupported("subjects[0].apiGroup", "x", apiGroup)]],
    [{ subjects: [{ ...account, apiGroup: "x" }] }, [unsupported("subjects[0].apiGroup", "x", "")]],
    [
      { subjects: [{ kind: "Robot", name: "r" }] },
      [unsupported("subjects[0].kind", "Robot", "ServiceAccount", "User", "Group")],
    ],
    [{ subjects: [{ ...account, namespace: undefined }] }, []],
  ];
  for (const [more, expected] of refusing) assert.deepEqual(made(more).errors, expected);

  const everywhere = (more: object) => tryCreate(clusterRoleBindingKind, { roleRef, ...more }).errors;
  assert.deepEqual(everywhere({ subjects: [{ ...account, namespace: undefined }] }), [
    "subjects[0].namespace: Required value",
  ]);
  assert.deepEqual(everywhere({ roleRef: { ...roleRef, kind: "Role" } }), [
    unsupported("roleRef.kind", "Role", "ClusterRole"),
  ]);
});

test("bindings: who may change, what may not", () => {
  const { object } = made();
  const grown = tryUpdate(roleBindingKind, object, {
    change: ({ subjects }) => void subjects?.push({ kind: "Group", name: "g" }),
  });
  assert.deepEqual(grown.errors, []);
  const { errors } = tryUpdate(roleBindingKind, object, {
    change(binding) {
      binding.roleRef.name = "edit";
    },
  });
  const printed = `{"APIGroup":"${apiGroup}","Kind":"ClusterRole","Name":"edit"}`;
  assert.deepEqual(errors, [`roleRef: Invalid value: ${printed}: cannot change roleRef`]);
});

test("bindings: a row of the table", () => {
  const { Age: _, ...cells } = tryColumns(roleBindingKind, made().object);
  assert.deepEqual(cells, { Role: "ClusterRole/view", Users: "alice", Groups: "", ServiceAccounts: "n/default" });
});
