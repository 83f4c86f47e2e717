/**
 * What an HTTP answer means: JSON, text, or the error that its Status body says. An answer that isn't from an API server
 * (a proxy's page, an empty body) becomes the Status that client-go would make of its code.
 */
import { type Status, StatusError } from "#machinery";

/** Longest foreign text that is quoted in an error. */
const quoteBytesMax = 2048;

export function decodeBody(contentType: string, body: Buffer): unknown {
  if (body.length === 0) return undefined;
  const text = body.toString("utf8");
  // Logs, metrics and health checks answer text.
  if (!/\bjson\b/.test(contentType)) return text;
  return JSON.parse(text);
}

export function decodeFailure(
  code: number,
  headers: { contentType: string; retryAfter?: string },
  body: Buffer,
): StatusError {
  const text = body.toString("utf8");
  if (/\bjson\b/.test(headers.contentType)) {
    try {
      const status = JSON.parse(text) as Partial<Status>; // checked on the next line
      if (status.kind === "Status" && status.status === "Failure")
        return new StatusError({ code, ...(status as Status) });
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
    }
  }
  const { reason, message } = generic[code] ?? {
    reason: code >= 500 ? "InternalError" : "",
    message: "the server responded with the status code but did not return more information",
  };
  const quoted = text.trim().slice(0, quoteBytesMax);
  const seconds = Number(headers.retryAfter);
  return new StatusError({
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message: quoted && code !== 401 ? `${message}: ${quoted}` : message,
    reason,
    details: {
      causes: [{ reason: "UnexpectedServerResponse", message: quoted || "unknown" }],
      ...(seconds > 0 ? { retryAfterSeconds: seconds } : {}),
    },
    code,
  });
}

const generic: Readonly<Record<number, { reason: string; message: string }>> = {
  400: { reason: "BadRequest", message: "the server rejected our request for an unknown reason" },
  401: { reason: "Unauthorized", message: "the server has asked for the client to provide credentials" },
  403: { reason: "Forbidden", message: "the server does not allow access to the requested resource" },
  404: { reason: "NotFound", message: "the server could not find the requested resource" },
  405: { reason: "MethodNotAllowed", message: "the server does not allow this method on the requested resource" },
  406: {
    reason: "NotAcceptable",
    message: "the server was unable to respond with a content type that the client supports",
  },
  409: { reason: "Conflict", message: "the server reported a conflict" },
  410: { reason: "Gone", message: "the server reported that the requested resource is gone" },
  413: { reason: "RequestEntityTooLarge", message: "the request is too large" },
  415: { reason: "UnsupportedMediaType", message: "the server did not accept the content type of our request" },
  422: { reason: "Invalid", message: "the server rejected our request due to an error in our request" },
  429: {
    reason: "TooManyRequests",
    message: "the server has received too many requests and has asked us to try again later",
  },
  500: { reason: "InternalError", message: "an error on the server has prevented the request from succeeding" },
  503: { reason: "ServiceUnavailable", message: "the server is currently unable to handle the request" },
  504: { reason: "Timeout", message: "the server was unable to return a response in the time allotted" },
};
