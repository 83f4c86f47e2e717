/** Namespaces as Kubernetes' conformance suite asks for them (test/e2e/apimachinery/namespace.go). */
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { type Loops, startLoops } from "./loops.ts";

suite("namespaces", () => {
  let loops: Loops;
  before(async () => {
    loops = await startLoops();
  });
  after(() => loops.close());
  const at = (name: string) => `/api/v1/namespaces/${name}`;
  const make = async (name: string) => {
    await loops.call("POST", "/api/v1/namespaces", { metadata: { name } });
    await loops.until("its account", () => loops.find(`${at(name)}/serviceaccounts/default`));
  };
  const gone = (name: string) => loops.until(`no ${name}`, async () => !(await loops.find(at(name))));

  test("conformance: Namespaces should ensure that all pods are removed when a namespace is deleted", async () => {
    await make("pods");
    const spec = { containers: [{ name: "c", image: "example.com/c:1" }] };
    await loops.call("POST", `${at("pods")}/pods`, { metadata: { name: "p" }, spec });
    await loops.call("DELETE", at("pods"));
    await gone("pods");
    await make("pods");
    assert.deepEqual((await loops.call("GET", `${at("pods")}/pods`)).items, []);
  });

  test("conformance: Namespaces should ensure that all services are removed when a namespace is deleted", async () => {
    await make("services");
    await loops.call("POST", `${at("services")}/services`, {
      metadata: { name: "s" },
      spec: { ports: [{ port: 80 }] },
    });
    await loops.call("DELETE", at("services"));
    await gone("services");
    await make("services");
    assert.deepEqual((await loops.call("GET", `${at("services")}/services`)).items, []);
  });

  test("conformance: Namespaces should patch a Namespace", async () => {
    await make("patched");
    const { metadata } = await loops.merge(at("patched"), { metadata: { labels: { testLabel: "testValue" } } });
    assert.equal(metadata?.labels?.testLabel, "testValue");
    assert.equal((await loops.call("GET", at("patched"))).metadata?.labels?.testLabel, "testValue");
  });

  test("conformance: Namespaces should apply changes to a namespace status", async () => {
    await make("told");
    const condition = (type: string, message: string) => ({ type, status: "True", reason: "E2E", message });
    const patched = await loops.merge(`${at("told")}/status`, {
      status: { conditions: [condition("StatusPatch", "by an e2e test")] },
    });
    assert.equal((patched.status.conditions as { type: string }[])[0]?.type, "StatusPatch");
    const now = structuredClone(await loops.call("GET", at("told")));
    const conditions = [...(now.status.conditions as object[]), condition("StatusUpdate", "by an update")];
    const updated = await loops.call("PUT", `${at("told")}/status`, { ...now, status: { ...now.status, conditions } });
    assert.deepEqual(
      (updated.status.conditions as { type: string }[]).map(({ type }) => type),
      ["StatusPatch", "StatusUpdate"],
    );
    assert.equal(updated.status.phase, "Active");
  });

  test("conformance: Namespaces should apply an update to a Namespace", async () => {
    await make("updated");
    const now = await loops.call("GET", at("updated"));
    const labels = { ...now.metadata?.labels, "updated-by": "e2e" };
    const answer = await loops.call("PUT", at("updated"), { ...now, metadata: { ...now.metadata, labels } });
    assert.equal(answer.metadata?.labels?.["updated-by"], "e2e");
  });

  test("conformance: Namespaces should apply a finalizer to a Namespace", async () => {
    await make("held");
    const now = await loops.call("GET", at("held"));
    const finalizers = [...(now.spec.finalizers as string[]), "e2e.example.com/fakeFinalizer"];
    const put = (spec: object) =>
      loops.call("PUT", `${at("held")}/finalize`, { ...now, metadata: { name: "held" }, spec });
    assert.deepEqual((await put({ finalizers })).spec.finalizers, finalizers);
    assert.deepEqual((await put({ finalizers: ["kubernetes"] })).spec.finalizers, ["kubernetes"]);
    await loops.call("DELETE", at("held"));
    await gone("held");
  });
});
