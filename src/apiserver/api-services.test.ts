import assert from "node:assert/strict";
import { test } from "node:test";
import { localApiServices } from "./api-services.ts";

test("API services: one for each version, none for the aggregator's own group", () => {
  const services = localApiServices([
    { group: "", version: "v1", groupPriority: 18_000, versionPriority: 1 },
    { group: "apps", version: "v1", groupPriority: 17_800, versionPriority: 15 },
    { group: "apiregistration.k8s.io", version: "v1", groupPriority: 0, versionPriority: 0 },
  ]);
  assert.deepEqual(
    services.map(({ metadata: { name }, spec }) => [name, spec]),
    [
      ["v1.", { version: "v1", groupPriorityMinimum: 18_000, versionPriority: 1 }],
      ["v1.apps", { group: "apps", version: "v1", groupPriorityMinimum: 17_800, versionPriority: 15 }],
    ],
  );
});
