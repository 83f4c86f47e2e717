/**
 * Somebody else decides: each question is posted as a SubjectAccessReview. Answers are kept for a while; match conditions keep questions away
 * that aren't the webhook's business. Upstream's webhook authorizer.
 */
import type { Clock } from "#base";
import type { Attributes, Decision } from "../../security.ts";
import { createExpiringCache } from "../expiring-cache.ts";
import { createReviewWebhook, type ReviewTarget } from "../review-webhook.ts";
import { noOpinion, type RulesAuthorizer } from "./chain.ts";
import type { MatchConditions } from "./match-conditions.ts";
import { selectorsOf } from "./selectors.ts";

export interface WebhookAuthorizerOptions {
  readonly target: ReviewTarget;
  readonly version: string;
  readonly timeoutMs: number;
  /** 0: not kept. */
  readonly authorizedTtlMs: number;
  readonly unauthorizedTtlMs: number;
  /** What a webhook that can't be asked means. */
  readonly failurePolicy: "NoOpinion" | "Deny";
  readonly conditions?: MatchConditions | undefined;
  readonly clock: Clock;
}

/** Upstream's: questions and answers of some hundred bytes each. */
const answersMax = 8192;
/** What the asking one controls of a question; longer ones are not kept, or they would push out all others. */
const controlledCharsMax = 10_000;

/** A SubjectAccessReviewSpec. */
export type ReviewSpec = Readonly<Record<string, unknown>>;

export function createWebhookAuthorizer(options: WebhookAuthorizerOptions): RulesAuthorizer {
  const { clock, version, conditions } = options;
  const webhook = createReviewWebhook({ ...options, group: "authorization.k8s.io", kind: "SubjectAccessReview" });
  const answers = createExpiringCache<Readonly<Record<string, unknown>>>({
    now: clock.now,
    lifeMs: ({ allowed }) => (allowed === true ? options.authorizedTtlMs : options.unauthorizedTtlMs),
    entriesMax: answersMax,
  });
  const failed = (error: string): Decision => ({
    allowed: false,
    denied: options.failurePolicy === "Deny",
    reason: "",
    error,
  });
  return {
    async authorize(attributes) {
      const spec = reviewSpec(attributes, version);
      const match = conditions?.(attributes) ?? { matches: true };
      if ("error" in match) return failed(match.error);
      if (!match.matches) return noOpinion;
      try {
        const ask = () => webhook.ask(spec);
        const status = await (controlledChars(attributes) < controlledCharsMax
          ? answers.get(JSON.stringify(spec), ask)
          : ask());
        return decisionOf(status);
      } catch (error) {
        return failed((error as Error).message); // of a connection or of an answer
      }
    },
    rulesFor: () => ({
      rules: [],
      incomplete: true,
      error: "webhook authorizer does not support user rule resolution",
    }),
  };
}

function decisionOf({ allowed, denied, reason }: Readonly<Record<string, unknown>>): Decision {
  const why = typeof reason === "string" ? reason : "";
  if (denied === true && allowed === true)
    return {
      allowed: false,
      denied: true,
      reason: why,
      error: "webhook subject access review returned both allow and deny response",
    };
  return { allowed: allowed === true, denied: denied === true, reason: why };
}

const controlledChars = ({ namespace, verb, apiGroup, apiVersion, resource, subresource, name, path }: Attributes) =>
  [namespace, verb, apiGroup, apiVersion, resource, subresource, name, path].reduce(
    (sum, each) => sum + each.length,
    0,
  );

/** v1beta1 calls the list of groups by its singular. */
export function reviewSpec(attributes: Attributes, version = "v1"): ReviewSpec {
  const { user } = attributes;
  const hasExtra = Object.keys(user.extra).length > 0;
  return {
    ...(attributes.resourceRequest
      ? { resourceAttributes: resourceAttributes(attributes) }
      : { nonResourceAttributes: present({ path: attributes.path, verb: attributes.verb }) }),
    ...present({ user: user.name }),
    ...(user.groups.length > 0 ? { [version === "v1beta1" ? "group" : "groups"]: user.groups } : {}),
    ...(hasExtra ? { extra: user.extra } : {}),
    ...present({ uid: user.uid }),
  };
}

/** As Go prints them: what is empty is left out. */
const present = (fields: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ""));

function resourceAttributes(attributes: Attributes): object {
  const { namespace, verb, apiGroup, apiVersion, resource, subresource, name } = attributes;
  return {
    ...present({ namespace, verb, group: apiGroup, version: apiVersion, resource, subresource, name }),
    ...selectorsOf(attributes),
  };
}
