import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Loops, startLoops } from "./conformance/loops.ts";

const rolesPath = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
const role = (name: string, more: object): object => ({
  apiVersion: "rbac.authorization.k8s.io/v1",
  kind: "ClusterRole",
  metadata: { name },
  ...more,
});
const rule = (resource: string) => ({ apiGroups: [""], resources: [resource], verbs: ["get"] });
const part = (name: string, resource: string) =>
  role(name, { metadata: { name, labels: { part: "yes" } }, rules: [rule(resource)] });

let loops: Loops;
before(async () => {
  loops = await startLoops();
});
after(() => loops.close());

test("cluster roles: rules of matching roles are gathered, follow them, and belong to the controller alone", async () => {
  const whole = role("whole", { aggregationRule: { clusterRoleSelectors: [{ matchLabels: { part: "yes" } }] } });
  const apply = {
    query: { fieldManager: "me" },
    method: "PATCH",
    contentType: "application/apply-patch+yaml",
  } as const;
  const applyWhole = () => loops.client.transport.request({ ...apply, path: `${rolesPath}/whole`, body: whole });
  await applyWhole();
  await loops.call("POST", rolesPath, part("b", "secrets"));
  await loops.call("POST", rolesPath, part("a", "pods"));
  await loops.call("POST", rolesPath, part("c", "pods"));
  const has = (...resources: string[]) =>
    loops.until(`rules of ${resources}`, async () => {
      const { rules } = (await loops.call("GET", `${rolesPath}/whole`)) as object as {
        rules: { resources: string[] }[] | null;
      };
      return JSON.stringify((rules ?? []).flatMap((each) => each.resources)) === JSON.stringify(resources);
    });
  await has("pods", "secrets");
  await loops.call("DELETE", `${rolesPath}/b`);
  await has("pods");
  await applyWhole(); // whoever applies it again meets no conflict and takes nothing away
  await has("pods");
  const { metadata } = await loops.call("GET", `${rolesPath}/whole`);
  const managers = metadata?.managedFields?.map(({ manager, operation }) => `${manager} ${operation}`).sort();
  assert.deepEqual(managers, ["clusterrole-aggregation-controller Apply", "me Apply"]);
});
