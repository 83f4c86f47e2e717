/** Migrations of stored objects, as test/integration/storageversionmigrator asks for them. The file of the store is read beside the server. */
import assert from "node:assert/strict";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, test } from "node:test";
import type { Condition } from "#api";
import { statusError, type Transport } from "#machinery";
import { type Loops, type Loose, startLoops } from "./conformance/loops.ts";

const migrations = "/apis/storagemigration.k8s.io/v1beta1/storageversionmigrations";
const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const widgets = (version: string, name = "") =>
  `/apis/shop.example.com/${version}/namespaces/default/widgets${name && `/${name}`}`;

const featureGates = ["StorageVersionMigrator=true"];
const runtimeConfig = ["storagemigration.k8s.io/v1beta1=true"];

let loops: Loops;
before(async () => {
  loops = await startLoops({ featureGates, runtimeConfig, controllers: false });
  await loops.call("POST", definitions, definition("v1"));
  await loops.until("the kind", () => loops.find(widgets("v1")));
});
after(() => loops.close());

const version = (name: string, storage: string) => ({
  ...{ name, served: true, storage: name === storage },
  schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
});
const versions = (storage: string) => [version("v1", storage), version("v2", storage)];
const definition = (storage: string) => ({
  metadata: { name: "widgets.shop.example.com" },
  spec: {
    group: "shop.example.com",
    scope: "Namespaced",
    names: { plural: "widgets", kind: "Widget" },
    versions: versions(storage),
  },
});
const widget = (at: string, name: string) => ({
  apiVersion: `shop.example.com/${at}`,
  kind: "Widget",
  metadata: { name },
  x: 1,
});

/** The version in which each widget lies on the disk. */
function stored(): Record<string, string> {
  const db = new DatabaseSync(path.join(path.dirname(loops.kubeconfigPath), "store", "state.db"), { readOnly: true });
  try {
    const rows = db.prepare(
      "SELECT key, value FROM revisions JOIN contents USING (id) WHERE key LIKE '/registry/shop.example.com/widgets/%' ORDER BY id",
    );
    return Object.fromEntries(
      rows
        .all()
        .map(({ key, value }) => [
          path.basename(String(key)),
          JSON.parse(Buffer.from(value as Uint8Array).toString()).apiVersion.split("/")[1],
        ]),
    );
  } finally {
    db.close();
  }
}

const conditionsOf = ({ status }: Loose) => (status?.conditions ?? []) as Condition[];
const shown = (object: Loose) =>
  conditionsOf(object).map(({ type, status, reason, message }) => `${type}=${status} ${reason}: ${message}`);

const migrate = (name: string, group: string, resource: string) =>
  loops.call("POST", migrations, { metadata: { name }, spec: { resource: { group, resource } } });
const ended = (name: string) =>
  loops.until(`the end of ${name}`, async () => {
    const migration = await loops.call("GET", `${migrations}/${name}`);
    return conditionsOf(migration).some(({ type, status }) => type === "Running" && status === "False") && migration;
  });
const succeeded = [
  "Running=False MigrationCompleted: Migration completed",
  "Succeeded=True StorageVersionMigrationSucceeded: ",
];

const all = async () => {
  const { items } = await loops.call("GET", widgets("v2"));
  return new Map(items.map(({ metadata = {} }) => [metadata.name ?? "", metadata]));
};

test("migrations: objects of a custom kind are stored in its new version, also when the controllers die meanwhile", async () => {
  const names = ["a", "b", "c", "d", "e"];
  for (const name of names) await loops.call("POST", widgets("v1"), widget("v1", name));
  await loops.merge(`${definitions}/widgets.shop.example.com`, { spec: { versions: versions("v2") } });
  await loops.until("the new version", async () => {
    if (await loops.find(widgets("v2", "new"))) await loops.call("DELETE", widgets("v2", "new"));
    await loops.call("POST", widgets("v2"), widget("v2", "new"));
    return stored().new === "v2";
  });
  assert.deepEqual(stored(), { ...Object.fromEntries(names.map((name) => [name, "v1"])), new: "v2" });
  const before = await all();
  await migrate("one", "shop.example.com", "widgets");
  await migrate("two", "shop.example.com", "widgets");

  const written: string[] = [];
  const counting =
    (most: number, stop: AbortController, refusals: Error[] = []) =>
    (transport: Transport): Transport => ({
      async request(request) {
        const counts = request.method === "PATCH" && request.path.includes("/widgets/");
        if (counts && written.length >= most) {
          stop.abort();
          throw new Error("killed");
        }
        const refusal = counts && refusals.shift();
        if (refusal) throw refusal;
        const answer = await transport.request(request);
        if (counts) written.push(path.basename(request.path));
        return answer;
      },
      watch: (request, onEvent) => transport.watch(request, onEvent),
      close: () => transport.close(),
    });
  const first = new AbortController();
  await loops.runControllers(first.signal, counting(2, first)).done;
  assert.deepEqual([written, Object.values(stored()).filter((each) => each === "v1").length], [["a", "b"], 3]);
  const waits = await loops.call("GET", `${migrations}/two`);
  assert.deepEqual(shown(waits), [], "one at a time");

  const second = new AbortController();
  const refusals: Error[] = [new Error("socket hang up"), statusError.tooManyRequests("busy", 1)];
  const { done } = loops.runControllers(second.signal, counting(Infinity, second, refusals));
  try {
    assert.deepEqual(shown(await ended("one")), succeeded);
    assert.deepEqual(stored(), Object.fromEntries([...names, "new"].map((name) => [name, "v2"])));
    const after = await all();
    for (const [name, { resourceVersion, ...kept }] of before) {
      const { resourceVersion: now, ...same } = after.get(name) ?? {};
      assert.deepEqual(same, kept, "nothing else has changed");
      assert.equal(now === resourceVersion, name === "new", name);
    }
    assert.deepEqual(shown(await ended("two")), succeeded);
    assert.deepEqual(await all(), after, "what is stored as it should isn't written");
    assert.deepEqual(written.slice(0, 6), ["a", "b", "c", "d", "e", "new"], "each once, but for the second migration");

    const { status } = await loops.call("GET", `${definitions}/widgets.shop.example.com`);
    assert.deepEqual(status.storedVersions, ["v2"]);
    assert.ok(
      shown({ status } as Loose).includes(
        "StorageMigrating=False MigrationSucceeded: The migration has succeeded and the stored versions have been updated",
      ),
    );
    await loops.merge(`${definitions}/widgets.shop.example.com`, { spec: { versions: [version("v2", "v2")] } });
    assert.equal((await loops.call("GET", widgets("v2"))).items.length, 6, "the old version may go");

    const group = "shop.example.com";
    refusals.push(statusError.conflict({ group, resource: "widgets" }, "a", "changed"));
    await migrate("third", group, "widgets");
    await migrate("services", "", "services");
    await migrate("reviews", "authentication.k8s.io", "tokenreviews");
    for (const name of ["third", "services"]) assert.deepEqual(shown(await ended(name)), succeeded);
    const what =
      '"authentication.k8s.io/v1, Resource=tokenreviews" does not support discovery operations: [update patch list]';
    assert.deepEqual(shown(await ended("reviews")), [
      succeeded[0],
      `Failed=True StorageVersionMigrationFailed: resource ${what}`,
    ]);
    refusals.push(statusError.badRequest("no"));
    await migrate("fourth", group, "widgets");
    assert.deepEqual(shown(await ended("fourth")), [
      succeeded[0],
      "Failed=True StorageVersionMigrationFailed: migration encountered unhandled error: no",
    ]);
  } finally {
    second.abort();
    await done;
  }
});

test("migrations: the kind is served when the feature and its version are switched on", async () => {
  assert.ok(await loops.find(migrations));
  const role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:controller:storage-version-migrator-controller";
  assert.ok(await loops.find(role));
  for (const options of [{ featureGates }, { runtimeConfig }]) {
    const other = await startLoops({ ...options, controllers: false });
    assert.equal(await other.find(migrations), undefined);
    assert.equal(Boolean(await other.find(role)), "featureGates" in options);
    await other.close();
  }
});
