import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { realClock } from "#base";
import { openSqliteStore, type Store } from "#store";
import { startTestServer, type TestObject, type TestServerOptions } from "../test-server.ts";

const ranges = "/apis/networking.k8s.io/v1/servicecidrs";
const addresses = "/apis/networking.k8s.io/v1/ipaddresses";

/** Servers after each other on one store. */
async function openStore(t: TestContext) {
  const store = await openSqliteStore({ path: ":memory:", clock: realClock });
  t.after(() => store.close());
  return (network: TestServerOptions["network"]) => startTestServer({ network, store: staying(store) });
}

const staying = (store: Store): Store =>
  new Proxy(store, {
    get(target, name) {
      if (name === "close") return async () => undefined;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });

const readyOf = ({ status }: TestObject) =>
  (status.conditions as { type: string; status: string; message: string }[] | undefined)?.map(
    ({ type, status: value, message }) => `${type}=${value}: ${message}`,
  );

// conformance: [sig-network] ServiceCIDR and IPAddress API should support ServiceCIDR API operations [Conformance]
test("default range: is there and ready; can be read by its status too, listed and watched", async (t) => {
  const start = await openStore(t);
  const api = await start({});
  const found = await api.call("GET", `${ranges}/kubernetes`);
  assert.deepEqual(found.spec.cidrs, ["10.96.0.0/16"]);
  assert.deepEqual(readyOf(found), ["Ready=True: Kubernetes default Service CIDR is ready"]);
  const status = await api.call("GET", `${ranges}/kubernetes/status`);
  assert.deepEqual([status.kind, status.metadata.uid], ["ServiceCIDR", found.metadata.uid]);
  assert.deepEqual(
    (await api.call("GET", ranges)).items.map(({ metadata }) => metadata.name),
    ["kubernetes"],
  );
  await api.close();
});

// conformance: [sig-network] ServiceCIDR and IPAddress API should support IPAddress API operations [Conformance]
test("addresses: people make, change and delete their own", async (t) => {
  const start = await openStore(t);
  const api = await start({});
  const spec = { parentRef: { group: "mygroup", resource: "myresources", namespace: "foo", name: "bar" } };
  const make = (name: string, type: string) =>
    api.call("POST", addresses, { metadata: { name, labels: { type } }, spec });
  const made = await make("255.255.255.255", "broadcast");
  await make("fe80::42:1dff:fe84:f9e2", "link-local");
  const path = `${addresses}/255.255.255.255`;
  const merge = { contentType: "application/merge-patch+json" };
  const patched = await api.call("PATCH", path, { metadata: { annotations: { patched: "true" } } }, merge);
  assert.ok(Number(patched.metadata.resourceVersion) > Number(made.metadata.resourceVersion));
  const updated = await api.call("PUT", path, {
    ...patched,
    metadata: { ...patched.metadata, annotations: { ...patched.metadata.annotations, updated: "true" } },
  });
  assert.deepEqual(updated.metadata.annotations, { patched: "true", updated: "true" });
  const named = async (labelSelector: string) =>
    (await api.call("GET", addresses, undefined, { query: { labelSelector } })).items.map(
      ({ metadata }) => metadata.name,
    );
  assert.deepEqual(await named("type=broadcast"), ["255.255.255.255"]);
  await api.call("DELETE", path);
  await api.call("DELETE", addresses, undefined, { query: { labelSelector: "type=link-local" } });
  assert.deepEqual(await named("type"), []);
  await api.close();
});

test("default range: gets the second family that the server is started with; never another first", async (t) => {
  const start = await openStore(t);
  await (await start({})).close();
  const wide = await start({ serviceCidr: "10.96.0.0/16,fd00::/108" });
  assert.deepEqual((await wide.call("GET", `${ranges}/kubernetes`)).spec.cidrs, ["10.96.0.0/16", "fd00::/108"]);
  await wide.close();
  const other = await start({ serviceCidr: "10.97.0.0/16" });
  assert.deepEqual((await other.call("GET", `${ranges}/kubernetes`)).spec.cidrs, ["10.96.0.0/16", "fd00::/108"]);
  const { items } = await other.call("GET", "/api/v1/namespaces/default/events");
  const [event] = items as (TestObject & { reason: string; message: string })[];
  assert.deepEqual(
    [event?.reason, event?.message],
    [
      "KubernetesDefaultServiceCIDRInconsistent",
      "The default ServiceCIDR [10.96.0.0/16 fd00::/108] does not match the controller flag configurations [10.97.0.0/16]",
    ],
  );
  await other.close();
});
