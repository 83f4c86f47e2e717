/** A ClusterRole with an aggregation rule has the rules of all roles that its selectors match. */
import type { ClusterRole, PolicyRule } from "#api";
import { keyOf, type WorkQueue } from "#client";
import { jsonEqual } from "#machinery";
import { type Controller, defineController, onEvery } from "../lib/controller.ts";
import { nameOf, type Seen } from "../lib/objects.ts";
import { createSelectorCache, type SelectorCache } from "../lib/selectors.ts";

const fieldManager = "clusterrole-aggregation-controller";

/** Each rule once, in the order of selectors and then of names. */
export function aggregateRules(
  role: Seen<ClusterRole>,
  roles: readonly Seen<ClusterRole>[],
  selectors: SelectorCache,
): PolicyRule[] {
  const rules: Seen<PolicyRule>[] = [];
  const sorted = [...roles].sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  for (const selector of role.aggregationRule?.clusterRoleSelectors ?? []) {
    const matcher = selectors.of(selector);
    for (const other of sorted) {
      if (nameOf(other) === nameOf(role) || !matcher.matches(other.metadata.labels)) continue;
      for (const rule of other.rules ?? []) if (!rules.some((known) => jsonEqual(known, rule))) rules.push(rule);
    }
  }
  return rules as PolicyRule[]; // sent, never changed
}

export const clusterRoleAggregationController: Controller = defineController({
  name: fieldManager,
  create({ client, informers }) {
    const roles = informers.of("rbac.authorization.k8s.io/v1/clusterroles");
    const selectors = createSelectorCache();
    return [
      {
        watches: (queue: WorkQueue) => [
          onEvery(roles, () => {
            for (const role of roles.list()) if (role.aggregationRule) queue.add(keyOf(role));
          }),
        ],
        async reconcile(key) {
          const role = roles.get(key);
          if (!role?.aggregationRule) return;
          const rules = aggregateRules(role, roles.list(), selectors);
          if (jsonEqual(rules, role.rules ?? [])) return;
          const own = client.resource("rbac.authorization.k8s.io/v1/clusterroles");
          // Applied, as upstream does: who applies the role itself, without rules, finds no conflict.
          const kind = { apiVersion: "rbac.authorization.k8s.io/v1", kind: "ClusterRole" };
          const patch = { ...kind, metadata: { name: nameOf(role) }, rules };
          await own.patch(nameOf(role), patch, { type: "apply", fieldManager, force: true });
        },
      },
    ];
  },
});
