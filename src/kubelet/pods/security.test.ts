import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { podOf } from "../core/testing.ts";
import { abilitiesOf } from "../runtime/abilities.ts";
import { nodeLayout } from "../volumes/layout.ts";
import { refuseSecurity } from "./admit-security.ts";
import type { PodContext } from "./context.ts";
import { createUserRanges, podUsers } from "./user-namespaces.ts";

const podWith = (spec: object, container: object = {}) => {
  const pod = podOf({ containers: ["a"], spec });
  Object.assign(pod.spec?.containers[0] ?? {}, container);
  return pod;
};

test("admission: what the node can't hold a pod to is refused in upstream's words", () => {
  const refused = (spec: object, container: object = {}, supplementalGroupsPolicy = false) => {
    const abilities = abilitiesOf({ features: { supplementalGroupsPolicy } });
    const facts = { allowedSysctls: [], abilities: () => abilities, hasAppArmor: () => false };
    const refusal = refuseSecurity(podWith(spec, container), facts);
    return refusal && `${refusal.reason}: ${refusal.message}`;
  };
  const strict = { securityContext: { supplementalGroupsPolicy: "Strict" } };
  assert.equal(
    refused(strict),
    "SupplementalGroupsPolicyNotSupported: SupplementalGroupsPolicy=Strict is not supported in this node",
  );
  assert.equal(refused(strict, {}, true), undefined);
  const noAppArmor = "AppArmor: Cannot enforce AppArmor: AppArmor is not enabled on the host";
  const profile = (type: string) => ({ securityContext: { appArmorProfile: { type } } });
  assert.equal(refused(profile("RuntimeDefault")), noAppArmor);
  assert.equal(refused({}, profile("Localhost")), noAppArmor);
  assert.equal(refused(profile("Unconfined"), profile("Unconfined")), undefined);
  assert.equal(
    refused({ securityContext: { sysctls: [{ name: "kernel.sem", value: "1" }] } }),
    'SysctlForbidden: forbidden sysctl: "kernel.sem" not allowlisted',
  );
});

async function rangesIn(t: TestContext, options: { idsPerPod?: number; ids?: { first: number; length: number } }) {
  const root = await mkdtemp(join(tmpdir(), "userns-"));
  t.after(() => rm(root, { recursive: true, force: true }));
  const layout = nodeLayout({ root, logs: join(root, "logs") });
  await mkdir(layout.pods, { recursive: true });
  const make = () => createUserRanges({ layout, idsPerPod: undefined, maxPods: 3, ...options });
  return { layout, make };
}

test("user namespaces: a range for each pod, the same after a restart, free when the pod's folder is gone", async (t) => {
  const ids = { first: 65_536, length: 3 * 65_536 };
  const { layout, make } = await rangesIn(t, { ids });
  const rangeOf = make();
  const given = await Promise.all(["a", "b", "c", "a"].map((uid) => rangeOf(uid)));
  assert.deepEqual(
    [...new Set(given.map(({ first }) => first))].sort((a, b) => a - b),
    [65_536, 131_072, 196_608],
  );
  assert.deepEqual(given[3], given[0]);
  const mapping = { hostId: given[0]?.first, containerId: 0, length: 65_536 };
  assert.deepEqual(JSON.parse(await readFile(join(layout.pod("a").root, "userns"), "utf8")), {
    uidMappings: [mapping],
    gidMappings: [mapping],
  });
  await assert.rejects(rangeOf("d"), {
    message: "create user namespace: could not find an empty slot to allocate a user namespace",
  });
  const again = make();
  assert.deepEqual(await again("b"), given[1]);
  await rm(layout.pod("c").root, { recursive: true });
  assert.deepEqual(await again("d"), given[2]);
  await writeFile(join(layout.pod("b").root, "userns"), '{"uidMappings":[{"hostId":5,"containerId":1,"length":7}]}');
  await assert.rejects(again("b"), /invalid user namespace configuration: GID and UID mapping should be identical/);
});

test("user namespaces: ids that don't fit are told", async (t) => {
  const cases: [{ idsPerPod?: number; ids?: { first: number; length: number } }, RegExp][] = [
    [{ idsPerPod: 65_537 }, /kubelet user namespace length 65537 is not a multiple of 65536/],
    [{ ids: { first: 65_537, length: 65_536 } }, /kubelet user assigned ID 65537 is not a multiple of 65536/],
    [{ ids: { first: 0, length: 65_536 * 3 } }, /kubelet user assigned ID 0 must be greater or equal to 65536/],
    [{ ids: { first: 65_536, length: 65_536 * 2 } }, /kubelet user assigned IDs are not enough to support 3 pods/],
  ];
  for (const [options, message] of cases) {
    const { make } = await rangesIn(t, options);
    await assert.rejects(make()("a"), message);
  }
});

test("user namespaces: only where the runtime's handler can", async () => {
  const of = (handlers: object[], spec: object) => {
    const abilities = abilitiesOf({ runtimeHandlers: handlers });
    const client = { resource: () => ({ get: async () => ({ handler: "special" }) }) };
    const userRanges = async () => ({ first: 65_536, length: 65_536 });
    const context = { client, node: { abilities: () => abilities }, userRanges } as unknown as PodContext; // what it uses
    return podUsers(context, podWith(spec));
  };
  const own = { hostUsers: false };
  assert.equal(await of([], {}), undefined);
  const refusal = "can't set `spec.hostUsers: false`, ";
  await assert.rejects(of([], own), { message: `${refusal}runtime does not support user namespaces` });
  await assert.rejects(of([{ name: "", features: { userNamespaces: true } }], { ...own, runtimeClassName: "s" }), {
    message: `${refusal}RuntimeClass handler "special" does not support user namespaces`,
  });
  const ids = [{ hostId: 65_536, containerId: 0, length: 65_536 }];
  assert.deepEqual(await of([{ name: "", features: { userNamespaces: true } }], own), {
    mode: "POD",
    uids: ids,
    gids: ids,
  });
});
