import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod, PodSpec } from "#api";
import { ClusterState } from "./cluster-state.ts";
import { defaultProfile } from "./default-plugins.ts";
import { createFitCheck } from "./fit-check.ts";
import { makeNode, makePod } from "./fixtures.ts";
import { createPodInfo } from "./pod-info.ts";

/** Park and Miller's numbers: the same for the same seed. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
}

const zone = "topology.kubernetes.io/zone";
const host = "kubernetes.io/hostname";

test("fit check: after pods moved it says what one made anew says, and all is as before when they are back", () => {
  const seed = (Date.now() % 2147483646) + 1;
  const random = createRandom(seed);
  const key = () => (random(2) === 0 ? zone : host);
  const labelSelector = () => ({ matchLabels: { app: `a${random(3)}` } });
  const term = () => ({ topologyKey: key(), labelSelector: labelSelector() });
  const randomSpec = (): Partial<PodSpec> => ({
    ...(random(2) === 0
      ? {
          affinity: {
            ...(random(2) === 0
              ? { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term()] } }
              : { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term()] } }),
          },
        }
      : {}),
    ...(random(2) === 0
      ? {
          topologySpreadConstraints: [
            {
              maxSkew: 1 + random(2),
              minDomains: 1 + random(3),
              topologyKey: key(),
              whenUnsatisfiable: "DoNotSchedule",
              labelSelector: labelSelector(),
            },
          ],
        }
      : {}),
  });
  const randomPod = (name: string): Pod =>
    makePod(name, { requests: { cpu: "100m" }, labels: { app: `a${random(3)}` }, spec: randomSpec() });

  for (let round = 0; round < 200; round++) {
    const state = new ClusterState();
    for (let index = 0; index < 5; index++) {
      const labels = index === 4 ? undefined : { [zone]: `z${index % 2}` };
      state.setNode(makeNode(`n${index}`, { labels, allocatable: { cpu: "500m" } }));
    }
    const placed = Array.from({ length: random(12) }, (_, index) => {
      const pod = randomPod(`p${index}`);
      return state.setPod({ ...pod, spec: { containers: [], ...pod.spec, nodeName: `n${random(5)}` } });
    });
    const pod = createPodInfo(randomPod("new"));
    const verdicts = (fit = createFitCheck(defaultProfile.filters, { pod, state })) =>
      state.nodes.map((node) => fit.check(node)?.reasons.join() ?? "fits");
    const before = verdicts();
    const fit = createFitCheck(defaultProfile.filters, { pod, state });
    const undo: (() => void)[] = [];
    for (const other of placed) {
      const node = state.node(other.pod.spec?.nodeName ?? "");
      if (!node || random(2) === 0) continue;
      fit.takeOff(other, node);
      undo.push(() => fit.place(other, node));
      assert.deepEqual(verdicts(fit), verdicts(), `seed ${seed}, round ${round}: without ${other.name}`);
    }
    // Without wishes of its own: a rule that had nothing to say keeps silent about those.
    const guest = createPodInfo(makePod("guest", { requests: { cpu: "100m" }, labels: { app: `a${random(3)}` } }));
    const [node] = state.nodes;
    assert.ok(node);
    fit.place(guest, node);
    undo.push(() => fit.takeOff(guest, node));
    assert.deepEqual(verdicts(fit), verdicts(), `seed ${seed}, round ${round}: with a guest`);
    for (const back of undo.reverse()) back();
    assert.deepEqual(verdicts(fit), before, `seed ${seed}, round ${round}: back`);
  }
});
