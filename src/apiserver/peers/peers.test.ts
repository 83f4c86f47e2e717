import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { FakeClock } from "#base";
import { openSqliteStore, type Store } from "#store";
import {
  startTestServer,
  testCertificate,
  type TestObject,
  type TestServer,
  type TestServerOptions,
} from "../test-server.ts";
import { serverPrefix } from "./endpoint-reconciler.ts";
import { serverId } from "./identity.ts";

const leases = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
const endpoints = "/api/v1/namespaces/default/endpoints/kubernetes";
const slice = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes";

const tls = testCertificate();

/** One that closes as a server does, but leaves the store to the others. */
async function join(store: Store, clock: FakeClock, network: TestServerOptions["network"] = {}) {
  const shared: Store = new Proxy(store, {
    get(target, name) {
      if (name === "close") return async () => undefined;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const api = await startTestServer({ clock, store: shared, tls: await tls, network });
  await api.server.listen({ host: "127.0.0.1", port: 0 });
  return api;
}

async function openStore(t: TestContext) {
  const clock = new FakeClock();
  const store = await openSqliteStore({ path: ":memory:", clock });
  t.after(() => store.close());
  return { clock, store };
}

async function becomes(look: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (await look()) return;
    await new Promise((next) => setTimeout(next, 10));
  }
  assert.fail(`never: ${look}`);
}

const behind = async (api: TestServer): Promise<string> => {
  const { subsets = [] } = (await api.call("GET", endpoints)) as TestObject & {
    subsets?: { addresses: { ip: string }[] }[];
  };
  return subsets.flatMap(({ addresses }) => addresses.map(({ ip }) => ip)).join();
};

const sliced = async (api: TestServer): Promise<string> => {
  const found = (await api.call("GET", slice)) as TestObject & { endpoints: { addresses: string[] }[] };
  return found.endpoints.flatMap(({ addresses }) => addresses).join();
};

test("server's name: upstream's for the same host", () =>
  assert.equal(serverId("vm"), "apiserver-wlv32tlttr4jl3gtroqexyxapa"));

test("servers: all that are alive are behind the kubernetes Service; who ends takes itself out", async (t) => {
  const { store, clock } = await openStore(t);
  const one = await join(store, clock, { advertiseAddress: "10.1.0.1" });
  assert.equal(await behind(one), "10.1.0.1");
  const two = await join(store, clock, { advertiseAddress: "10.1.0.2" });
  const both = "10.1.0.1,10.1.0.2";
  await becomes(async () => (await behind(one)) === both && (await sliced(one)) === both);
  await one.call("DELETE", endpoints);
  await becomes(async () => (await behind(two).catch(() => "")) === both);
  await two.close();
  await becomes(async () => (await behind(one)) === "10.1.0.1" && (await sliced(one)) === "10.1.0.1");
  await one.close();
});

test("servers: one that broke is out after its time, and in again when it was only asleep", async (t) => {
  const { store, clock } = await openStore(t);
  const one = await join(store, clock, { advertiseAddress: "10.1.0.1" });
  const two = await join(store, clock, { advertiseAddress: "10.1.0.2" });
  await store.transact({ compare: [], operations: [{ type: "delete", key: `${serverPrefix}10.1.0.2` }] });
  await becomes(async () => (await behind(one)) === "10.1.0.1");
  clock.advance(60_000);
  await becomes(async () => (await behind(one)) === "10.1.0.1,10.1.0.2");
  await Promise.all([one.close(), two.close()]);
});

test("servers: whoever can't be reached, or is told not to, leaves the endpoints alone", async (t) => {
  const { store, clock } = await openStore(t);
  const local = await join(store, clock, { advertiseAddress: "127.0.0.1" });
  const other = await join(store, clock, { advertiseAddress: "10.1.0.1", endpointReconciler: "none" });
  await assert.rejects(local.call("GET", endpoints), /not found/);
  await Promise.all([local.close(), other.close()]);
});

test("servers: of IPv6 alone have a slice of their family", async (t) => {
  const { store, clock } = await openStore(t);
  const api = await join(store, clock, { serviceCidr: "fd00::/108", advertiseAddress: "fd01::1" });
  const { addressType } = (await api.call("GET", slice)) as TestObject & { addressType: string };
  assert.deepEqual([addressType, await sliced(api)], ["IPv6", "fd01::1"]);
  await api.close();
});

test("identity: a lease while the server runs, renewed; those of others go when their time is over", async (t) => {
  const { store, clock } = await openStore(t);
  const watcher = await join(store, clock);
  const api = await join(store, clock, { advertiseAddress: "10.1.0.1", hostname: "vm" });
  const own = `${leases}/${serverId("vm")}`;
  await becomes(() => watcher.call("GET", own).then(Boolean, () => false));
  const { metadata, spec } = await watcher.call("GET", own);
  assert.deepEqual(metadata.labels, {
    "apiserver.kubernetes.io/identity": "kube-apiserver",
    "kubernetes.io/hostname": "vm",
  });
  assert.match(metadata.annotations?.["kubernetes.io/peer-advertise-address"] ?? "", /^10\.1\.0\.1:\d+$/);
  assert.match(String(spec.holderIdentity), /^apiserver-wlv32tlttr4jl3gtroqexyxapa_[0-9a-f-]{36}$/);
  assert.equal(spec.leaseDurationSeconds, 3600);
  const lease = (name: string, label: string, renewTime: string) =>
    watcher.call("POST", leases, {
      metadata: { name, labels: { "apiserver.kubernetes.io/identity": label } },
      spec: { holderIdentity: name, leaseDurationSeconds: 60, renewTime },
    });
  await lease("gone", "kube-apiserver", "2025-12-31T00:00:00.000000Z");
  await lease("alive", "kube-apiserver", "2026-01-01T00:59:30.000000Z");
  await lease("other", "something", "2025-12-31T00:00:00.000000Z");
  clock.advance(3_600_000);
  await becomes(async () => (await watcher.call("GET", own)).spec.renewTime === "2026-01-01T01:00:00.000000Z");
  await becomes(() =>
    watcher.call("GET", `${leases}/gone`).then(
      () => false,
      () => true,
    ),
  );
  const { items } = await watcher.call("GET", leases);
  assert.deepEqual(
    items.map(({ metadata: { name } }) => name),
    ["alive", serverId("vm"), "other"],
  );
  await api.close();
  await assert.rejects(watcher.call("GET", own), /not found/);
  await watcher.close();
});
