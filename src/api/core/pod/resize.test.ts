import assert from "node:assert/strict";
import { test } from "node:test";
import type { ResourceRequirements } from "../../types.d.ts";
import { assertChanges, changePod, madePod, type Parts } from "./update-trial.ts";

const running = (resources: ResourceRequirements, spec: object = {}) =>
  madePod({ containers: [{ name: "c", image: "i", resources }], ...spec }, { phase: "Running" });
const withInit = (requests: Record<string, string>) => ({
  initContainers: [{ name: "init", image: "i", resources: { requests } }],
});
const wants =
  (resources: ResourceRequirements) =>
  ({ spec }: Parts) =>
    Object.assign(spec.containers[0] ?? {}, { resources });

test("only what containers ask for changes", () => {
  const { object, errors } = changePod(
    running({ requests: { cpu: "1" } }),
    ({ spec }) => Object.assign(spec.containers[0] ?? {}, { image: "z", resources: { requests: { cpu: "2" } } }),
    "resize",
  );
  assert.deepEqual(errors, []);
  assert.deepEqual(
    [object.spec?.containers[0]?.image, object.spec?.containers[0]?.resources],
    ["i", { requests: { cpu: "2" } }],
  );
  assert.equal(object.metadata.generation, 2);
});

test("an init container's size may change before it runs", () => {
  const change = ({ spec }: Parts) => Object.assign(spec, withInit({ cpu: "2" }));
  const { object, errors } = changePod(running({ requests: { cpu: "1" } }, withInit({ cpu: "1" })), change, "resize");
  assert.deepEqual(errors, []);
  assert.deepEqual(object.spec?.initContainers?.[0]?.resources, { requests: { cpu: "2" } });
});

test("what resizing may not do", () => {
  assertChanges(
    [
      [
        "change the class of service",
        running({ requests: { cpu: "1" } }),
        wants({ limits: { cpu: "2", memory: "1Gi" }, requests: { cpu: "2", memory: "1Gi" } }),
        ['spec: Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing'],
      ],
      [
        "change other resources",
        running({ requests: { cpu: "1", "ephemeral-storage": "1Gi" } }),
        wants({ requests: { cpu: "1", "ephemeral-storage": "2Gi" } }),
        ["spec: Forbidden: only cpu and memory resources are mutable"],
      ],
      [
        "drop a request",
        running({ requests: { cpu: "1", memory: "1Gi" } }),
        wants({ requests: { cpu: "1" } }),
        ["spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed"],
      ],
      [
        "happen on windows",
        running({ requests: { cpu: "1" } }, { os: { name: "windows" } }),
        wants({ requests: { cpu: "2" } }),
        ["[]: Forbidden: windows pods cannot be resized"],
      ],
      [
        "touch more of an init container than cpu and memory",
        running({ requests: { cpu: "1" } }, withInit({ cpu: "1", "ephemeral-storage": "1" })),
        ({ spec }) => Object.assign(spec, withInit({ cpu: "2", "ephemeral-storage": "2" })),
        ["spec.initContainers[0]: Forbidden: only cpu and memory resources for init or sidecar containers are mutable"],
      ],
    ],
    "resize",
  );
});
