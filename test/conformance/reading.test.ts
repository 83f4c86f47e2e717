/** Discovery, chunks and watches as Kubernetes' conformance suite asks for them (test/e2e/apimachinery). */
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { type Loops, type Loose, startLoops } from "./loops.ts";

suite("reading", () => {
  let loops: Loops;
  before(async () => {
    loops = await startLoops();
  });
  after(() => loops.close());
  const core = "/api/v1/namespaces/default";

  interface Group {
    readonly name: string;
    readonly versions: readonly { readonly groupVersion: string; readonly version: string }[];
    readonly preferredVersion: { readonly groupVersion: string; readonly version: string };
  }
  const groups = async () => (await loops.call("GET", "/apis")).groups as Group[];

  test("conformance: Discovery should validate PreferredVersion for each APIGroup", async () => {
    const all = await groups();
    assert.ok(all.length > 15, String(all.length));
    for (const { name, preferredVersion } of all) {
      const group = (await loops.call("GET", `/apis/${name}`)) as unknown as Group;
      assert.ok(
        group.versions.some(({ groupVersion }) => groupVersion === preferredVersion.groupVersion),
        name,
      );
      assert.deepEqual(group.preferredVersion, preferredVersion);
    }
  });

  test("conformance: Discovery should locate the groupVersion and a resource within each APIGroup", async () => {
    const wanted: [groupVersion: string, resource: string][] = [
      ["admissionregistration.k8s.io/v1", "validatingwebhookconfigurations"],
      ["apiextensions.k8s.io/v1", "customresourcedefinitions"],
      ["apiregistration.k8s.io/v1", "apiservices"],
      ["apps/v1", "deployments"],
      ["authentication.k8s.io/v1", "tokenreviews"],
      ["authorization.k8s.io/v1", "selfsubjectaccessreviews"],
      ["autoscaling/v1", "horizontalpodautoscalers"],
      ["autoscaling/v2", "horizontalpodautoscalers"],
      ["batch/v1", "jobs"],
      ["certificates.k8s.io/v1", "certificatesigningrequests"],
      ["coordination.k8s.io/v1", "leases"],
      ["discovery.k8s.io/v1", "endpointslices"],
      ["events.k8s.io/v1", "events"],
      ["networking.k8s.io/v1", "ingresses"],
      ["node.k8s.io/v1", "runtimeclasses"],
      ["policy/v1", "poddisruptionbudgets"],
      ["scheduling.k8s.io/v1", "priorityclasses"],
      ["storage.k8s.io/v1", "csinodes"],
    ];
    const all = await groups();
    for (const [groupVersion, resource] of wanted) {
      const [name] = groupVersion.split("/");
      const group = all.find((each) => each.name === name);
      assert.ok(
        group?.versions.some((version) => version.groupVersion === groupVersion),
        groupVersion,
      );
      const list = await loops.call("GET", `/apis/${groupVersion}`);
      assert.equal(list.groupVersion, groupVersion);
      assert.ok(
        (list.resources as { name: string }[]).some((each) => each.name === resource),
        resource,
      );
    }
  });

  test("conformance: server version should find the server version", async () => {
    const { major, minor, gitVersion } = await loops.call("GET", "/version");
    assert.match(`${major}`, /^[0-9]+$/);
    assert.match(`${minor}`, /^[0-9]+$/);
    assert.match(`${gitVersion}`, /^v1\.36\./);
  });

  test("conformance: Servers with support for API chunking should return chunks of results for list calls", async () => {
    const count = 45;
    const spec = { containers: [{ name: "c", image: "example.com/c:1" }] };
    for (let index = 0; index < count; index++)
      await loops.call("POST", `${core}/podtemplates`, {
        metadata: { name: `template-${String(index).padStart(4, "0")}` },
        template: { spec },
      });
    for (const limit of [1, 7, 44, 45, 46]) {
      const names: string[] = [];
      let token = "";
      let revision: string | undefined;
      do {
        const page = await loops.call(
          "GET",
          `${core}/podtemplates?limit=${limit}&continue=${encodeURIComponent(token)}`,
        );
        const {
          continue: next = "",
          remainingItemCount,
          resourceVersion,
        } = page.metadata as Loose["metadata"] & { continue?: string; remainingItemCount?: number };
        assert.ok(page.items.length <= limit);
        names.push(...page.items.map(({ metadata }) => metadata?.name ?? ""));
        revision ??= resourceVersion;
        assert.equal(resourceVersion, revision, "all pages are of one revision");
        assert.equal(remainingItemCount ?? 0, count - names.length);
        token = next;
      } while (token !== "");
      assert.deepEqual(names, [...names].sort());
      assert.equal(new Set(names).size, count);
    }
    assert.equal((await loops.call("GET", `${core}/podtemplates`)).items.length, count);
  });

  test("conformance: Watchers should receive events on concurrent watches in same order", async () => {
    const { metadata } = await loops.call("GET", `${core}/configmaps`);
    const stop = new AbortController();
    const seen: string[][] = [];
    const watch = (resourceVersion: string | undefined) => {
      const events: string[] = [];
      seen.push(events);
      const query = { watch: true, ...(resourceVersion !== undefined && { resourceVersion }) };
      return loops.client.transport.watch(
        { method: "GET", path: `${core}/configmaps`, query, signal: stop.signal },
        ({ object }) => {
          events.push((object as Loose).metadata?.resourceVersion ?? ""); // a config map
        },
      );
    };
    const first = metadata?.resourceVersion;
    const running = [watch(first), watch(first)];
    const revisions: (string | undefined)[] = [];
    for (let index = 0; index < 10; index++) {
      const made = await loops.call("POST", `${core}/configmaps`, { metadata: { name: `order-${index}` } });
      const changed = await loops.merge(`${core}/configmaps/order-${index}`, { data: { a: "b" } });
      revisions.push(made.metadata?.resourceVersion, changed.metadata?.resourceVersion);
      running.push(watch(made.metadata?.resourceVersion));
    }
    await loops.until("all have seen the last", async () => seen.every((events) => events.at(-1) === revisions.at(-1)));
    stop.abort();
    await Promise.all(running);
    for (const events of seen) assert.deepEqual(events, revisions.slice(revisions.length - events.length));
    assert.deepEqual(seen[0], revisions);
  });
});
