import assert from "node:assert/strict";
import { test } from "node:test";
import type { AdmissionRequest, Lookup } from "./chain.ts";
import { limitRanger } from "./limit-ranger.ts";
import { podResize } from "./pod-resize.ts";

test("admission: no resize beyond what the pod's node has", async () => {
  const node = { metadata: { name: "n" }, status: { allocatable: { cpu: "2", memory: "1Gi" } } };
  const lookup = { kind: () => ({}), get: async () => node } as unknown as Lookup; // all that it is asked
  const ask = async (requests: Record<string, string>, generation = 2) =>
    podResize.validate?.(
      {
        resource: { group: "", resource: "pods" },
        object: {
          metadata: { name: "p", generation },
          spec: { nodeName: "n", containers: [{ name: "c", resources: { requests } }], overhead: { cpu: "500m" } },
        },
        old: { metadata: { generation: 1 } },
      } as unknown as AdmissionRequest, // what it reads
      lookup,
    );
  await ask({ cpu: "1500m", memory: "1Gi" });
  await ask({ cpu: "9" }, 1);
  await assert.rejects(ask({ cpu: "1600m", memory: "2Gi" }), (error: { status: object }) => {
    assert.deepEqual(error.status, {
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message:
        'pods "p" is forbidden: node didn\'t have enough allocatable resources: cpu, requested: 2100, allocatable: 2000; memory, requested: 2147483648, allocatable: 1073741824',
      reason: "Forbidden",
      details: { name: "p", kind: "pods", causes: [{ reason: "NodeCapacity" }] },
      code: 403,
    });
    return true;
  });
});

test("admission: a resize keeps to the limits of the namespace", async () => {
  const range = { spec: { limits: [{ type: "Container", max: { cpu: "500m" }, min: { cpu: "50m" } }] } };
  const lookup = { kind: () => ({}), list: async () => [range] } as unknown as Lookup; // all that it is asked
  const request = (cpu: string) =>
    ({
      operation: "UPDATE",
      resource: { group: "", resource: "pods" },
      subresource: "resize",
      object: {
        metadata: { name: "p" },
        spec: { containers: [{ name: "c", resources: { requests: { cpu }, limits: { cpu } } }] },
      },
      old: { metadata: {} },
    }) as unknown as AdmissionRequest; // what it reads
  assert.ok(limitRanger.handles(request("1")));
  assert.ok(!limitRanger.handles({ ...request("1"), subresource: "" }));
  await limitRanger.validate?.(request("500m"), lookup);
  await assert.rejects(async () => limitRanger.validate?.(request("1"), lookup), {
    message: 'pods "p" is forbidden: maximum cpu usage per Container is 500m, but limit is 1',
  });
});
