/** The authorizers that a configuration names, put into its order; it may be changed while the server runs. */
import type { Clock } from "#base";
import type { NodeAuthorizer } from "../node-authorizer.ts";
import { nodeIdentity } from "../node-identity.ts";
import { aggregate, type Rbac } from "../rbac.ts";
import type { ReviewTarget } from "../review-webhook.ts";
import { type AbacPolicy, createAbacAuthorizer } from "./abac.ts";
import { alwaysAllow, alwaysDeny, createAuthorizerChain, noOpinion, noRules, type RulesAuthorizer } from "./chain.ts";
import type { AuthorizerConfiguration } from "./configuration.ts";
import { createMatchConditions } from "./match-conditions.ts";
import { createWebhookAuthorizer } from "./webhook.ts";

/** With the webhook's kubeconfig read. */
export type ConfiguredAuthorizer =
  | Exclude<AuthorizerConfiguration, { readonly type: "Webhook" }>
  | (Extract<AuthorizerConfiguration, { readonly type: "Webhook" }> & { readonly target: ReviewTarget });

export interface AuthorizersOptions {
  readonly rbac: Rbac;
  readonly nodes: NodeAuthorizer;
  readonly abac: readonly AbacPolicy[];
  readonly clock: Clock;
}

export function createAuthorizers(
  configured: readonly ConfiguredAuthorizer[],
  { rbac, nodes, abac, clock }: AuthorizersOptions,
): RulesAuthorizer {
  const make = (authorizer: ConfiguredAuthorizer): RulesAuthorizer => {
    switch (authorizer.type) {
      case "Webhook": {
        const { webhook, target } = authorizer;
        const conditions = webhook.conditions.length > 0 ? createMatchConditions(webhook.conditions) : undefined;
        return createWebhookAuthorizer({ ...webhook, conditions, target, clock });
      }
      case "ABAC":
        return createAbacAuthorizer(abac);
      case "AlwaysAllow":
        return alwaysAllow;
      case "AlwaysDeny":
        return alwaysDeny;
      case "Node":
        return ofNodes(nodes);
      case "RBAC":
        return ofRoles(rbac);
    }
  };
  return createAuthorizerChain(configured.map(make));
}

const ofNodes = (nodes: NodeAuthorizer): RulesAuthorizer => ({
  authorize: (attributes) => nodes.authorize(attributes) ?? noOpinion,
  rulesFor: (user) =>
    nodeIdentity(user) === undefined
      ? noRules
      : { rules: [], incomplete: true, error: "node authorizer does not support user rule resolution" },
});

const ofRoles = (rbac: Rbac): RulesAuthorizer => ({
  authorize: (attributes) => rbac.authorize(attributes),
  rulesFor(user, namespace) {
    const { rules, errors } = rbac.rulesFor(user, namespace);
    return {
      rules: rules.map(({ rule }) => rule),
      incomplete: false,
      ...(errors.length > 0 ? { error: aggregate(errors) } : {}),
    };
  },
});
