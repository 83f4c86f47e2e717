/** The migrator on a tiny server: pages, snapshots that expire, and what isn't served. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { StorageVersionMigration } from "#api";
import { type ApiRequest, formatTime, StatusError, statusError } from "#machinery";
import { FakeTransport } from "#testing";
import { runController, testNow } from "../lib/fixture.ts";
import { storageVersionMigrator } from "./controller.ts";

const migrations = "/apis/storagemigration.k8s.io/v1beta1/storageversionmigrations";
const things = "/apis/example.com/v1/things";

const group = {
  name: "example.com",
  versions: [{ version: "v1", groupVersion: "example.com/v1" }],
  preferredVersion: { version: "v1" },
};
const served = [{ name: "things", kind: "Thing", namespaced: true, verbs: ["list", "patch", "update"] }];

/** `page`: answers a list that begins at this token. */
function setUp(
  page: (token: unknown) => object,
  { resources = served }: { resources?: typeof served | StatusError } = {},
) {
  const transport = new FakeTransport();
  const written: string[] = [];
  const answer = ({ method, path, query }: ApiRequest): unknown => {
    if (path === "/api") return { versions: [] };
    if (path === "/apis") return { groups: [group] };
    if (path === "/apis/example.com/v1") {
      if (resources instanceof StatusError) throw resources;
      return { resources };
    }
    if (path === things)
      return query?.limit === 1 ? { metadata: { resourceVersion: "50" }, items: [] } : page(query?.continue);
    if (method === "PATCH" && path.includes("/things/")) return written.push(path.slice(path.lastIndexOf("/") + 1));
    if (path.startsWith("/apis/apiextensions.k8s.io/")) throw statusError.notFound({ group: "", resource: "" }, "");
    return undefined;
  };
  transport.intercept = answer;
  transport.create(migrations, {
    metadata: { name: "m", creationTimestamp: formatTime(testNow) },
    ...{ spec: { resource: { group: "example.com", resource: "things" } } },
  });
  const running = runController(storageVersionMigrator, transport, { storageVersionMigration: true });
  const seen = () => transport.objects.get(`${migrations}/m`) as StorageVersionMigration | undefined;
  const conditions = () =>
    (seen()?.status?.conditions ?? []).map(({ type, status, message }) => `${type}=${status} ${message}`);
  return { transport, written, conditions, seen, ...running };
}
const thing = (name: string, resourceVersion = "7") => ({
  metadata: { name, namespace: "ns", uid: name, resourceVersion },
});

test("migrator: goes on with the rest when a snapshot expires, and leaves alone what is newer", async () => {
  const { written, conditions, seen, until, stop } = setUp((token) => {
    if (token === "second") {
      const { status } = statusError.expired("too old");
      throw new StatusError({ ...status, metadata: { continue: "rest" } });
    }
    return token === "rest"
      ? { metadata: {}, items: [thing("c"), thing("new", "51"), thing("d", "50")] }
      : { metadata: { continue: "second" }, items: [thing("a"), thing("b")] };
  });
  await until(() => conditions().includes("Running=False Migration completed"));
  assert.deepEqual(conditions(), ["Running=False Migration completed", "Succeeded=True "]);
  assert.deepEqual([written, seen()?.status?.resourceVersion], [["a", "b", "c", "d"], "50"]);
  await stop();
});

test("migrator: ends with its migration", async () => {
  const { transport, written, until, stop } = setUp(() => {
    transport.remove(`${migrations}/m`);
    return { metadata: {}, items: [thing("a")] };
  });
  await until(() => transport.objects.size === 0);
  await stop();
  assert.deepEqual(written, []);
});

test("migrator: waits a minute for a resource, and for ever for a server that can't be reached", async () => {
  const cases = [
    [{ resources: [] }, ["Running=False Migration completed", "Failed=True resource does not exist in discovery"]],
    [{ resources: statusError.serviceUnavailable("away") }, ["Running=True The migration is running"]],
  ] as const;
  for (const [options, expected] of cases) {
    const { conditions, clock, until, stop } = setUp(() => ({}), options as Parameters<typeof setUp>[1]);
    await until(() => conditions().length === 1);
    for (let step = 0; step < 20; step++) {
      clock.advance(8000);
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual(conditions(), expected);
    await stop();
  }
});
