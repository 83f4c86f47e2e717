/** Authorizers asked in turn: the first that allows or denies decides, and whoever nobody knows anything about may not. */
import type { RequestUser } from "#api";
import type { Attributes, Authorizer, Decision } from "../../security.ts";
import { everyone } from "../groups.ts";
import { aggregate } from "../rbac.ts";
import type { PolicyRule } from "../rules.ts";

/** What somebody may do in a namespace, as far as an authorizer can tell. */
export interface UserRules {
  readonly rules: readonly PolicyRule[];
  /** There may be more. */
  readonly incomplete: boolean;
  readonly error?: string;
}

export interface RulesAuthorizer extends Authorizer {
  rulesFor(user: RequestUser, namespace: string): UserRules;
}

export const noRules: UserRules = { rules: [], incomplete: false };
const allowed: Decision = { allowed: true, reason: "" };
export const noOpinion: Decision = { allowed: false, reason: "" };

const everything: readonly PolicyRule[] = [
  { verbs: ["*"], apiGroups: ["*"], resources: ["*"] },
  { verbs: ["*"], nonResourceURLs: ["*"] },
];

export const alwaysAllow: RulesAuthorizer = {
  authorize: () => allowed,
  rulesFor: () => ({ rules: everything, incomplete: false }),
};

export const alwaysDeny: RulesAuthorizer = {
  authorize: () => ({ allowed: false, reason: "Everything is forbidden." }),
  rulesFor: () => noRules,
};

export function createAuthorizerChain(links: readonly RulesAuthorizer[]): RulesAuthorizer {
  return {
    authorize(attributes) {
      // Works even when there is no role at all.
      if (attributes.user.groups.includes(everyone.masters)) return allowed;
      return walk(links, attributes);
    },
    rulesFor(user, namespace) {
      const found = links.map((link) => link.rulesFor(user, namespace));
      const errors = found.flatMap(({ error }) => (error === undefined ? [] : [error]));
      return {
        rules: found.flatMap(({ rules }) => rules),
        incomplete: found.some(({ incomplete }) => incomplete),
        ...(errors.length > 0 ? { error: aggregate(errors) } : {}),
      };
    },
  };
}

/** Those in memory answer at once: no promise until somebody has to be asked over the network. */
function walk(links: readonly RulesAuthorizer[], attributes: Attributes): Decision | Promise<Decision> {
  const opinions: Decision[] = [];
  for (const [at, link] of links.entries()) {
    const decision = link.authorize(attributes);
    if (decision instanceof Promise) return walkOn(decision, links.slice(at + 1), { attributes, opinions });
    if (decision.allowed || decision.denied) return decision;
    opinions.push(decision);
  }
  return refusal(opinions);
}

async function walkOn(
  first: Promise<Decision>,
  rest: readonly RulesAuthorizer[],
  { attributes, opinions }: { attributes: Attributes; opinions: Decision[] },
): Promise<Decision> {
  const asked = [() => first, ...rest.map((link) => () => link.authorize(attributes))];
  for (const ask of asked) {
    const decision = await ask();
    if (decision.allowed || decision.denied) return decision;
    opinions.push(decision);
  }
  return refusal(opinions);
}

function refusal(opinions: readonly Decision[]): Decision {
  const errors = opinions.flatMap(({ error }) => (error === undefined ? [] : [error]));
  const reasons = opinions.flatMap(({ reason }) => (reason === "" ? [] : [reason]));
  if (errors.length === 0 && reasons.length === 0) return noOpinion;
  return {
    allowed: false,
    reason: reasons.join("\n"),
    ...(errors.length > 0 ? { error: aggregate(errors) } : {}),
  };
}
