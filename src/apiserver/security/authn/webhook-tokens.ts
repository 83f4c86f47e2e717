/** Tokens that somebody else knows: each is posted as a TokenReview, and the answer kept for a while. Upstream's webhook token authenticator. */
import type { Clock } from "#base";
import type { RequestUser } from "#api";
import { createExpiringCache } from "../expiring-cache.ts";
import { createReviewWebhook, type ReviewTarget } from "../review-webhook.ts";
import type { TokenResult, TokenSource } from "./token-chain.ts";

export interface WebhookTokensOptions {
  readonly target: ReviewTarget;
  readonly version: string;
  /** 0: not kept. */
  readonly cacheTtlMs: number;
  /** Of this server: what a webhook that knows no audiences means. */
  readonly audiences: readonly string[];
  readonly clock: Clock;
}

/** As upstream's clients of webhooks. */
const timeoutMs = 30_000;
/** Users of some hundred bytes each. */
const answersMax = 8192;

export function createWebhookTokens(options: WebhookTokensOptions): TokenSource {
  const { clock, cacheTtlMs } = options;
  const webhook = createReviewWebhook({ ...options, group: "authentication.k8s.io", kind: "TokenReview", timeoutMs });
  const answers = createExpiringCache<TokenResult>({
    now: clock.now,
    lifeMs: () => cacheTtlMs,
    entriesMax: answersMax,
  });
  return async (token, audiences) => {
    const ask = async () => resultOf(await webhook.ask({ token, audiences }), audiences, options.audiences);
    try {
      return await answers.get(JSON.stringify([token, audiences]), ask);
    } catch (error) {
      return { why: (error as Error).message }; // of a connection or of an answer; not kept
    }
  };
}

function resultOf(
  { authenticated, user, audiences, error }: Readonly<Record<string, unknown>>,
  wanted: readonly string[],
  own: readonly string[],
): TokenResult {
  const named = strings(audiences);
  const shared = wanted.filter((audience) => (named.length > 0 ? named : own).includes(audience));
  if (shared.length === 0) return { why: "" };
  if (authenticated !== true) return { why: typeof error === "string" ? error : "" };
  return { user: readUser(user), audiences: shared };
}

/** As sent by a stranger: what isn't text is left out. */
function readUser(user: unknown): RequestUser {
  const { username, uid, groups, extra } = (user ?? {}) as Record<string, unknown>; // looked at below
  const text = (value: unknown) => (typeof value === "string" ? value : "");
  const entries = typeof extra === "object" && extra !== null ? Object.entries(extra) : [];
  return {
    name: text(username),
    uid: text(uid),
    groups: strings(groups),
    extra: Object.fromEntries(entries.map(([key, values]) => [key, strings(values)])),
  };
}

const strings = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((each): each is string => typeof each === "string") : [];
