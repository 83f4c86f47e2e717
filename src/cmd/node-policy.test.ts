import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock, silentLogger } from "#base";
import { createClient, createInformers } from "#client";
import { FakeTransport } from "#testing";
import { createNodePolicies } from "./node-policy.ts";

const policiesPath = "/apis/networking.k8s.io/v1/namespaces/ns/networkpolicies";
const podsPath = "/api/v1/namespaces/ns/pods";
const deny = { metadata: { name: "deny" }, spec: { podSelector: {}, policyTypes: ["Ingress"] } };
const settings = { clusterCidr: "10.244.0.0/16", serviceCidr: "", clusterDomain: "", dnsAddress: "" };
const pod = { metadata: { namespace: "ns", name: "new", uid: "u" }, spec: { nodeName: "n1", containers: [] } };

test("node: policies cost one watch until there is one, and nothing is left of the last", async (t) => {
  const transport = new FakeTransport();
  const client = createClient(transport);
  const clock = new FakeClock();
  const log = silentLogger;
  const informers = createInformers(client, { clock, log });
  const scripts: string[] = [];
  let heard = (): void => undefined;
  const policies = createNodePolicies(clock, async (script) => {
    scripts.push(script);
    heard();
  });
  const script = async (pattern: RegExp) => {
    while (!scripts.some((each) => pattern.test(each)))
      await new Promise<void>((done) => {
        heard = done;
      });
    return scripts.splice(0).join("");
  };
  const stop = new AbortController();
  const network = Promise.resolve({ bridge: "br0" } as never); // nothing else of it is asked for
  const context = { nodeName: "n1", proxyMode: "nftables" as const, settings, client, informers, network, clock, log };
  const running = [policies.run(context, stop.signal), informers.run(stop.signal)];
  t.after(async () => {
    stop.abort();
    transport.close();
    await Promise.all(running);
  });
  transport.create(podsPath, {
    metadata: { name: "web" },
    ...({ spec: { nodeName: "n1", containers: [] }, status: { podIPs: [{ ip: "10.244.0.2" }] } } as object),
  });

  await policies.podStarts(pod, ["10.244.0.3"]);
  assert.equal(policies.podStarts(pod, ["10.244.0.3"]), undefined, "nobody waits");
  assert.deepEqual(
    new Set(transport.requests.map(({ path }) => path)),
    new Set(["/apis/networking.k8s.io/v1/networkpolicies"]),
    "all that is asked for",
  );
  clock.advance(1_000);
  assert.equal(
    await script(/delete table/),
    "add table inet sampan-policy\ndelete table inet sampan-policy\n",
    "what an earlier run left",
  );

  transport.create(policiesPath, deny);
  assert.match(
    await script(/ingress-pods \{ 10/),
    /add element inet sampan-policy ingress-pods \{ 10\.244\.0\.2 : goto pods-\w+ \}/,
  );
  await policies.podStarts(pod, ["10.244.0.3"]);
  assert.match(
    await script(/./),
    /add element inet sampan-policy ingress-pods \{ 10\.244\.0\.3 : goto pods-\w+ \}/,
    "before its status",
  );

  transport.remove(`${policiesPath}/deny`);
  assert.equal(
    await script(/^add table .*\ndelete table .*\n$/),
    "add table inet sampan-policy\ndelete table inet sampan-policy\n",
  );
  await policies.podStarts(pod, ["10.244.0.3"]);
  assert.equal(policies.podStarts(pod, ["10.244.0.3"]), undefined, "nobody waits again");
  transport.create(policiesPath, deny);
  assert.match(await script(/ingress-pods \{ 10/), /10\.244\.0\.2 : goto/, "and again");
});

test("node: pods start when nobody knows whether there are policies", async () => {
  const clock = new FakeClock();
  const policies = createNodePolicies(clock, async () => undefined);
  const started = policies.podStarts(pod, ["10.244.0.3"]);
  clock.advance(5_000);
  await started;
});
