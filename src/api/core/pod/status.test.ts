import assert from "node:assert/strict";
import { test } from "node:test";
import { assertChanges, changePod, madePod } from "./update-trial.ts";

const terminated = (exitCode: number) => ({
  containerStatuses: [
    { name: "c", ready: false, restartCount: 0, image: "i", imageID: "", state: { terminated: { exitCode } } },
  ],
});

test("a status changes only the status", () => {
  const { object } = changePod(
    madePod(),
    ({ pod, spec, status }) => {
      Object.assign(spec.containers[0] ?? {}, { image: "z" });
      Object.assign(pod.metadata, { ownerReferences: [{ apiVersion: "v1", kind: "A", name: "a", uid: "u" }] });
      Object.assign(status, { phase: "Running", podIP: "10.0.0.1" });
    },
    "status",
  );
  assert.equal(object.spec?.containers[0]?.image, "demo/a:1");
  assert.equal(object.metadata.ownerReferences, undefined);
  assert.equal(object.metadata.generation, 1);
  assert.deepEqual([object.status?.phase, object.status?.podIPs], ["Running", [{ ip: "10.0.0.1" }]]);
});

test("statuses that can't be", () => {
  const set =
    (fields: object) =>
    ({ status }: { status: object }) =>
      Object.assign(status, fields);
  const running = { containerStatuses: [{ ...terminated(0).containerStatuses[0], state: { running: {} } }] };
  const ip = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
  assertChanges(
    [
      [
        "a container that never restarts is back",
        madePod({ restartPolicy: "Never" }, terminated(0)),
        set(running),
        ["status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"],
      ],
      ["a container that may restart is back", madePod({}, terminated(0)), set(running), []],
      [
        "one that restarts on failure is back after a success",
        madePod({ restartPolicy: "OnFailure" }, terminated(0)),
        set(running),
        ["status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"],
      ],
      [
        "an init container is back with another sandbox",
        madePod(
          { initContainers: [{ name: "i", image: "x" }] },
          { initContainerStatuses: [{ ...terminated(0).containerStatuses[0], name: "i" }] },
        ),
        set({ initContainerStatuses: [{ ...terminated(0).containerStatuses[0], name: "i", state: { running: {} } }] }),
        [],
      ],
      ["and after a failure", madePod({ restartPolicy: "OnFailure" }, terminated(1)), set(running), []],
      [
        "addresses",
        madePod(),
        set({
          podIPs: [{ ip: "x" }, { ip: "10.0.0.1" }, { ip: "10.0.0.2" }],
          hostIP: "10.0.0.1",
          hostIPs: [{ ip: "10.0.0.2" }],
        }),
        [
          `status.podIPs[0]: Invalid value: "x": ${ip}`,
          'status.podIPs: Invalid value: [{"ip":"x"},{"ip":"10.0.0.1"},{"ip":"10.0.0.2"}]: may specify no more than one IP for each IP family',
          'status.hostIPs[0].ip: Invalid value: "10.0.0.2": must be equal to `hostIP`',
        ],
      ],
      ["two families", madePod(), set({ podIPs: [{ ip: "10.0.0.1" }, { ip: "fd00::1" }] }), []],
      [
        "another class of service",
        madePod(),
        set({ qosClass: "Guaranteed" }),
        ['status.qosClass: Invalid value: "Guaranteed": field is immutable'],
      ],
      [
        "a node that is nominated for a bound pod",
        madePod({ nodeName: "n" }),
        set({ nominatedNodeName: "m" }),
        ["status.nominatedNodeName: Forbidden: may not be set on pods that are already bound to a node"],
      ],
      [
        "claims the pod doesn't have",
        madePod(),
        set({ resourceClaimStatuses: [{ name: "a" }] }),
        [
          'status.resourceClaimStatuses[0].name: Invalid value: "a": must match the name of an entry in `spec.resourceClaims`',
        ],
      ],
    ],
    "status",
  );
});

test("addresses of another notation are warned about", () => {
  const { warnings } = changePod(
    madePod(),
    ({ status }) => Object.assign(status, { podIPs: [{ ip: "FD00::1" }] }),
    "status",
  );
  assert.deepEqual(warnings, [
    'status.podIPs[0].ip: IPv6 address "FD00::1" should be in RFC 5952 canonical format ("fd00::1")',
  ]);
});

test("a client that doesn't know observed generations doesn't clear them", () => {
  const condition = { type: "Ready", status: "True" };
  const old = madePod({}, { observedGeneration: 3, conditions: [{ ...condition, observedGeneration: 2 }] });
  const { object } = changePod(
    old,
    ({ status }) => {
      delete status.observedGeneration;
      status.conditions = [{ ...condition }];
    },
    "status",
  );
  assert.deepEqual([object.status?.observedGeneration, object.status?.conditions?.[0]?.observedGeneration], [3, 2]);
});
