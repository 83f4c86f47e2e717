/** What clients hear of webhooks, in upstream's words: people search for them. */
import { type Status, StatusError } from "#machinery";

/** A webhook that couldn't be asked or answered nonsense; its failure policy says what that means. */
export class WebhookCallError extends Error {
  override name = "WebhookCallError";

  constructor(webhook: string, reason: string) {
    super(`failed calling webhook ${JSON.stringify(webhook)}: ${reason}`);
  }
}

export function denied(webhook: string, result: Partial<Status> = {}): StatusError {
  const { code = 0, status, message, reason, details } = result;
  const by = `admission webhook ${JSON.stringify(webhook)} denied the request`;
  const why = message || reason;
  return new StatusError({
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: status === undefined || status === "Success" ? "Failure" : status,
    message: why ? `${by}: ${why}` : `${by} without explanation`,
    ...(reason && { reason }),
    ...(details && { details }),
    // A refusal is never a success.
    code: Math.max(code, 400),
  });
}
