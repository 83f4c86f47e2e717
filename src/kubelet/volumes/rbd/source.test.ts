import assert from "node:assert/strict";
import { test } from "node:test";
import type { PersistentVolume } from "#api";
import { rbdSource } from "./source.ts";

const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "p", namespace: "ns", uid: "u" } } as const;
const inline = (rbd: object, readOnly = false) =>
  rbdSource({
    pod,
    volume: { name: "v", rbd: { monitors: ["m:1"], image: "i", ...rbd } },
    persistent: undefined,
    readOnly,
  });
const persistent = (rbd: object, spec: object = {}, readOnly = false) => {
  const volume: PersistentVolume = {
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: { name: "pv" },
    spec: { rbd: { monitors: ["m:1"], image: "i", ...rbd }, ...spec },
  };
  return rbdSource({
    pod,
    volume: { name: "v", persistentVolumeClaim: { claimName: "c" } },
    persistent: volume,
    readOnly,
  });
};

test("rbd source: what isn't said is as upstream's", () => {
  assert.deepEqual(inline({}), {
    pool: "rbd",
    image: "i",
    access: { monitors: ["m:1"], user: "admin", keyring: "/etc/ceph/keyring" },
    secret: undefined,
    fsType: "ext4",
    readOnly: false,
    onlyReaders: false,
    mountOptions: [],
  });
});

test("rbd source: secrets are of the pod's namespace, unless a persistent volume names another", () => {
  const named = { secretRef: { name: "s", namespace: "other" } };
  assert.deepEqual(inline({ secretRef: { name: "s" } }).secret, { namespace: "ns", name: "s" });
  assert.deepEqual(inline(named).secret, { namespace: "ns", name: "s" });
  assert.deepEqual(persistent(named).secret, { namespace: "other", name: "s" });
  assert.deepEqual(persistent({ secretRef: { name: "s" } }).secret, { namespace: "ns", name: "s" });
});

test("rbd source: who reads only", () => {
  const cases: readonly (readonly [ReturnType<typeof inline>, boolean])[] = [
    [inline({ readOnly: true }), true],
    [inline({}), false],
    // The claim says it, not the volume.
    [persistent({ readOnly: true }), false],
    [persistent({}, {}, true), true],
    [persistent({}, { accessModes: ["ReadOnlyMany"] }), true],
    [persistent({}, { accessModes: ["ReadWriteOnce", "ReadOnlyMany"] }), false],
  ];
  for (const [source, wanted] of cases) assert.equal(source.readOnly, wanted);
});

test("rbd source: nothing gets to a program that it could read otherwise", () => {
  const cases: readonly (readonly [object, RegExp])[] = [
    [{ image: "--all" }, /^rbd: invalid image "--all"$/],
    [{ image: "../../etc" }, /invalid image/],
    [{ image: "a@ro" }, /invalid image/],
    [{ pool: "a b" }, /invalid pool "a b"/],
    [{ user: "x --log_file=/y" }, /invalid user/],
    [{ user: "x\ny" }, /invalid user/],
    [{ monitors: ["m --log_file=/y"] }, /invalid monitor/],
    [{ monitors: ["-m"] }, /invalid monitor/],
    [{ keyring: "relative" }, /invalid keyring/],
    [{ fsType: "ext4/../x" }, /invalid fsType/],
  ];
  for (const [rbd, wanted] of cases)
    assert.throws(
      () => inline(rbd),
      ({ message }: Error) => wanted.test(message),
    );
  for (const monitors of [["10.0.0.1:6789"], ["[fd00::1]:3300"], ["v2:10.0.0.1:3300/0"], ["ceph-mon.ceph.svc:6789"]])
    assert.deepEqual(inline({ monitors }).access.monitors, monitors);
});
