import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod, ResourceQuota } from "#api";
import { testNow, testPod } from "../lib/fixture.ts";
import { countedResources, isCurrent, quotaStatus } from "./reconcile.ts";

const quota = (hard: Record<string, string>, change: object = {}): ResourceQuota => ({
  metadata: { name: "q", namespace: "default" },
  spec: { hard, ...change },
});

const pod = (name: string, cpu?: string, phase = "Running"): Pod => ({
  ...testPod({ name, phase }),
  spec: { containers: [{ name: "c", ...(cpu ? { resources: { requests: { cpu } } } : {}) }] },
});
const pods = { group: "", resource: "pods" };

test("quota: which objects count", () => {
  assert.deepEqual(
    countedResources([
      "requests.cpu",
      "pods",
      "count/jobs.batch",
      "gold.storageclass.storage.k8s.io/requests.storage",
      "services.nodeports",
      "secrets",
    ]).map(({ group, resource }) => `${resource}.${group}`),
    ["pods.", "jobs.batch", "persistentvolumeclaims.", "services.", "secrets."],
  );
});

test("quota: sums what runs, zero for what is counted and not there", () => {
  const of = quota({ pods: "5", "requests.cpu": "2", "count/pods": "9", services: "1" });
  const status = quotaStatus(
    of,
    [
      { resource: pods, objects: [pod("a", "100m"), pod("b", "1"), pod("c", "1", "Succeeded"), pod("d")] },
      { resource: { group: "", resource: "services" }, objects: [] },
    ],
    testNow,
  );
  assert.deepEqual(status, {
    hard: { pods: "5", "requests.cpu": "2", "count/pods": "9", services: "1" },
    used: { pods: "3", "requests.cpu": "1100m", "count/pods": "4", services: "0" },
  });
  assert.equal(
    isCurrent({ ...of, status: { hard: status.hard ?? {}, used: { ...status.used, "requests.cpu": "1.1" } } }, status),
    true,
  );
  assert.equal(isCurrent(of, status), false);
});

test("quota: a scope leaves out what isn't in it; what can't be counted stays", () => {
  const of = {
    ...quota({ pods: "5", "count/things.example.com": "3" }, { scopes: ["BestEffort"] }),
    status: { used: { "count/things.example.com": "2", old: "1" } },
  };
  const status = quotaStatus(of, [{ resource: pods, objects: [pod("a", "100m"), pod("b")] }], testNow);
  assert.deepEqual(status.used, { "count/things.example.com": "2", pods: "1" });
});
