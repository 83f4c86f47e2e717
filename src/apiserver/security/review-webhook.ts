/**
 * Asks somebody else by posting a review and reading its status: who a token is of, or who may do what. Failures that may pass are tried
 * again with upstream's pauses; whoever hangs costs only those who wait for this very answer.
 */
import type { Clock } from "#base";
import { isStatusError, type KubernetesObject, type Transport } from "#machinery";

/** Where reviews go: the server of a kubeconfig, at exactly its path. */
export interface ReviewTarget {
  readonly transport: Transport;
  /** Behind the server's own: "" or "/". */
  readonly path: string;
}

export interface ReviewWebhookOptions {
  readonly target: ReviewTarget;
  /** `authentication.k8s.io` */
  readonly group: string;
  /** `TokenReview` */
  readonly kind: string;
  /** `v1` or `v1beta1`; the two have the same form. */
  readonly version: string;
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/** Upstream's retry parameters for both webhooks. */
const attemptsMax = 5;
const firstPauseMs = 500;
const pauseFactor = 1.5;
const pauseJitter = 0.2;

export interface ReviewWebhook {
  /** The status of the answer. Rejects when there is none. */
  ask(spec: object): Promise<Readonly<Record<string, unknown>>>;
}

export function createReviewWebhook(options: ReviewWebhookOptions): ReviewWebhook {
  const { target, kind, clock, timeoutMs } = options;
  const apiVersion = `${options.group}/${options.version}`;
  const ask = async (spec: object) => {
    const body = { kind, apiVersion, metadata: {}, spec };
    const signal = AbortSignal.timeout(timeoutMs);
    const answer = await target.transport
      .request({ method: "POST", path: target.path, body, signal })
      .catch((error: unknown) => {
        throw signal.aborted ? new Error("context deadline exceeded", { cause: error }) : error;
      });
    return statusOf(answer, { kind, apiVersion });
  };
  return {
    async ask(spec) {
      let pauseMs = firstPauseMs;
      for (let attempt = 1; ; attempt++) {
        try {
          return await ask(spec);
        } catch (error) {
          if (attempt >= attemptsMax || !mayPass(error)) throw error;
        }
        const waitMs = pauseMs * (1 + Math.random() * pauseJitter);
        await new Promise<void>((resolve) => clock.after(waitMs, resolve));
        pauseMs *= pauseFactor;
      }
    },
  };
}

function statusOf(answer: unknown, want: { kind: string; apiVersion: string }): Record<string, unknown> {
  const review = answer as (KubernetesObject & { status?: unknown }) | null | undefined; // looked at below
  if (typeof review !== "object" || review?.kind !== want.kind || review.apiVersion !== want.apiVersion)
    throw new Error(`the webhook answered something else than a ${want.kind} of ${want.apiVersion}`);
  const { status = {} } = review;
  if (typeof status !== "object" || status === null || Array.isArray(status))
    throw new Error(`the status of the webhook's ${want.kind} is no object`);
  return status as Record<string, unknown>; // checked
}

/** As upstream: lost connections, internal errors, timeouts and whoever names a time to come back. */
function mayPass(error: unknown): boolean {
  if (isStatusError(error)) {
    const { reason, status } = error;
    return (
      reason === "InternalError" ||
      reason === "Timeout" ||
      reason === "TooManyRequests" ||
      (status.details?.retryAfterSeconds ?? 0) > 0
    );
  }
  return (error as { code?: unknown }).code === "ECONNRESET";
}
