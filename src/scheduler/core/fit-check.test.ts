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
    const nodes = Array.from({ length: 5 }, (_, index) => {
      const labels = index === 4 ? undefined : { [zone]: `z${index % 2}` };
      return makeNode(`n${index}`, { labels, allocatable: { cpu: "500m" } });
    });
    const pods = Array.from({ length: random(12) }, (_, index) => {
      const pod = randomPod(`p${index}`);
      return { ...pod, spec: { containers: [], ...pod.spec, nodeName: `n${random(5)}` } };
    });
    const stateWith = (placed: readonly Pod[]) => {
      const state = new ClusterState();
      for (const node of nodes) state.setNode(node);
      for (const pod of placed) state.setPod(pod);
      return state;
    };
    const pod = createPodInfo(randomPod("new"));
    const verdicts = (state: ClusterState, fit = createFitCheck(defaultProfile.filters, { pod, state })) =>
      state.nodes.map((node) => fit.check(node)?.reasons.join() ?? "fits");
    const anew = (placed: ReadonlySet<Pod>) => verdicts(stateWith([...placed]));
    const state = stateWith(pods);
    const before = verdicts(state);
    const fit = createFitCheck(defaultProfile.filters, { pod, state });
    const undo: (() => void)[] = [];
    const left = new Set<Pod>(pods);
    for (const each of pods) {
      const node = state.node(each.spec.nodeName);
      const other = state.pod(each.metadata.uid ?? "");
      if (!node || !other || random(2) === 0) continue;
      fit.takeOff(other, node);
      left.delete(each);
      undo.push(() => fit.place(other, node));
      assert.deepEqual(verdicts(state, fit), anew(left), `seed ${seed}, round ${round}: without ${other.name}`);
    }
    // Without wishes of its own: a rule that had nothing to say keeps silent about those.
    const guest = makePod("guest", { requests: { cpu: "100m" }, labels: { app: `a${random(3)}` } });
    const [node] = state.nodes;
    assert.ok(node);
    const info = createPodInfo(guest);
    fit.place(info, node);
    undo.push(() => fit.takeOff(info, node));
    left.add({ ...guest, spec: { containers: [], ...guest.spec, nodeName: node.name } });
    assert.deepEqual(verdicts(state, fit), anew(left), `seed ${seed}, round ${round}: with a guest`);
    for (const back of undo.reverse()) back();
    assert.deepEqual(verdicts(state, fit), before, `seed ${seed}, round ${round}: back`);
  }
});
