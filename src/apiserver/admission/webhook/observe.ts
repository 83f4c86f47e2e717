/** Tells the metrics of each webhook that was asked: how long it took, and what came of it. */
import type { AdmissionMetrics, AdmissionStep } from "../../metrics/admission-metrics.ts";
import type { AdmissionRequest } from "../chain.ts";
import { WebhookCallError } from "./errors.ts";
import type { Hook } from "./hooks.ts";
import type { ReviewAnswer } from "./review.ts";

export interface WebhookObserver {
  readonly metrics: Pick<AdmissionMetrics, "webhook" | "rejected" | "failOpen">;
  readonly precise: () => number;
}

/** What upstream gives as the code of a webhook that couldn't be reached. */
const unreachable = 503;
const answered = 200;

/** The same call, observed. */
export function observed(
  observer: WebhookObserver | undefined,
  { hook, request, step }: { hook: Hook; request: AdmissionRequest; step: AdmissionStep },
  call: () => Promise<ReviewAnswer>,
): () => Promise<ReviewAnswer> {
  if (!observer) return call;
  const { metrics, precise } = observer;
  const { name, failurePolicy } = hook.webhook;
  const { operation, meter } = request;
  return async () => {
    const start = precise();
    const note = (rejected: boolean, code: number) => {
      const elapsedMs = precise() - start;
      if (meter) meter.webhooksMs += elapsedMs;
      metrics.webhook(name, { step, operation, elapsedMs, rejected, code });
    };
    const refused = (errorType: string, code: number) => metrics.rejected(name, { step, operation, errorType, code });
    try {
      const answer = await call();
      note(!answer.allowed, answered);
      if (!answer.allowed) refused("no_error", Math.max(answer.result?.code ?? 0, 400));
      return answer;
    } catch (error) {
      const isCall = error instanceof WebhookCallError;
      const ignored = isCall && failurePolicy === "Ignore";
      note(!ignored, isCall ? unreachable : 0);
      if (ignored) metrics.failOpen(name, step);
      else refused(isCall ? "calling_webhook_error" : "apiserver_internal_error", isCall ? unreachable : 0);
      throw error;
    }
  };
}
