import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate, tryUpdate } from "../trial.ts";
import type { StorageVersionMigration } from "../types.d.ts";
import { storageVersionMigrationKind as kind } from "./storage-version-migration.ts";

const of = (group: string, resource: string) => ({ spec: { resource: { group, resource } } });
type Migration = StorageVersionMigration;
const made = (): Migration => tryCreate(kind, of("example.com", "things")).object;

test("storage version migration: what is refused", () => {
  const required = ["spec.resource.resource: Required value: resource is required to be set"];
  const malformed = (field: string, value: string) => `spec.resource.${field}: Invalid value: "${value}": a `;
  const cases: [object, readonly string[]][] = [
    [of("non-empty", "non-empty"), []],
    [of("", "secrets"), []],
    [of("", ""), required],
    [of("non-empty", ""), required],
    [{}, required],
    [of("non-empty", "."), [malformed("resource", ".")]],
    [of("-", "non-empty"), [malformed("group", "-")]],
  ];
  for (const [more, expected] of cases) {
    const { errors } = tryCreate(kind, more);
    assert.equal(errors.length, expected.length, errors.join());
    for (const [i, start] of expected.entries()) assert.ok(errors[i]?.startsWith(start), errors.join());
  }
});

test("storage version migration: its spec stays, its status is written apart", () => {
  const changed = tryUpdate(kind, made(), { change: (migration) => Object.assign(migration, of("new.com", "things")) });
  assert.deepEqual(changed.errors, [
    'spec: Invalid value: {"Resource":{"group":"new.com","resource":"things"}}: field is immutable',
  ]);
  const said = { status: { resourceVersion: "7" } };
  assert.deepEqual(tryCreate(kind, { ...of("", "secrets"), ...said }).object.status, {});
  const { object } = tryUpdate(kind, made(), { change: (migration) => Object.assign(migration, said) });
  assert.deepEqual(object.status, {});
});

const at = { lastTransitionTime: "2026-01-01T00:00:00Z", reason: "R", message: "" };
const is = (type: string, status = "True") => ({ ...at, type, status });
const [running, succeeded, failed] = [is("Running"), is("Succeeded"), is("Failed")];
const status = (resourceVersion: string, ...conditions: (typeof running)[]): Migration => ({
  ...made(),
  status: { ...(resourceVersion && { resourceVersion }), conditions },
});

test("storage version migration: an end is final, and the revision noted once", () => {
  const printed = (...conditions: object[]) => `status.conditions: Invalid value: ${JSON.stringify(conditions)}: `;
  const cases: [old: Migration, next: Migration, expected: string[]][] = [
    [status(""), status("123", running), []],
    [status("123", running), status("123", is("Running", "False"), succeeded), []],
    [status("123", running), status("123", is("Running", "False"), failed), []],
    [status("123", succeeded), status("123", succeeded), []],
    [status("123", failed), status("123", failed), []],
    [
      status("123", running),
      status("456", running),
      ['status.resourceVersion: Invalid value: "456": field is immutable'],
    ],
    ...["abc", "0", "01"].map((text): [Migration, Migration, string[]] => [
      status(""),
      status(text, running),
      [`status.resourceVersion: Invalid value: "${text}": resource version is not well formed: ${text}`],
    ]),
    [
      status("123", running),
      status("123", succeeded, failed),
      [`${printed(succeeded, failed)}Both success and failed conditions cannot be true at the same time`],
    ],
    [
      status("123", succeeded),
      status("123", is("Succeeded", "False")),
      [`${printed(is("Succeeded", "False"))}Success condition cannot be set to false once it is true`],
    ],
    [
      status("123", failed),
      status("123", is("Failed", "False")),
      [`${printed(is("Failed", "False"))}Failed condition cannot be set to false once it is true`],
    ],
  ];
  for (const [old, { status: sent }, expected] of cases) {
    const change = (migration: Migration) => Object.assign(migration, { status: sent });
    assert.deepEqual(tryUpdate(kind, old, { change, subresource: "status" }).errors, expected);
  }
});

test("storage version migration: what is shown", () => {
  const cases: [Migration, string, string][] = [
    [made(), "things.example.com", "Unknown"],
    [{ ...made(), ...of("", "secrets") }, "secrets", "Unknown"],
    [status("1", running), "things.example.com", "Running"],
    [status("1", is("Running", "False"), succeeded), "things.example.com", "Succeeded"],
    [status("1", running, failed, is("Other")), "things.example.com", "Failed"],
  ];
  for (const [object, Resource, Status] of cases)
    assert.deepEqual(tryColumns(kind, object), { Name: "a", Resource, Status });
});
