/**
 * The one table of API errors: code, reason and wording of apimachinery's api/errors.
 * Everything the server refuses is one of these; clients match on reason and message.
 */
import { type FieldError, printFieldErrors } from "./field.ts";
import { goQuote } from "./go-text.ts";

export interface StatusCause {
  reason?: string;
  message?: string;
  field?: string;
}

export interface Status {
  kind: "Status";
  apiVersion: "v1";
  metadata: Record<string, unknown>;
  status: "Success" | "Failure";
  message?: string;
  reason?: string;
  details?: {
    name?: string;
    group?: string;
    kind?: string;
    uid?: string;
    causes?: StatusCause[];
    retryAfterSeconds?: number;
  };
  code?: number;
}

/** An answer that is a failure; `status` is the body as sent. */
export class StatusError extends Error {
  override name = "StatusError";
  readonly status: Status;

  constructor(status: Status) {
    super(status.message ?? status.reason ?? "unknown failure");
    this.status = status;
  }

  get code(): number {
    return this.status.code ?? 500;
  }

  get reason(): string {
    return this.status.reason ?? "";
  }
}

export const isStatusError = (error: unknown, reason?: string): error is StatusError =>
  error instanceof StatusError && (reason === undefined || error.reason === reason);

export interface GroupResource {
  readonly group: string;
  readonly resource: string;
}

/** `deployments.apps`, or just `pods` for the core group. */
export const printGroupResource = ({ group, resource }: GroupResource): string =>
  group === "" ? resource : `${resource}.${group}`;

function failure(code: number, reason: string, message: string, details?: Status["details"]): StatusError {
  return new StatusError({
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message,
    ...(reason ? { reason } : {}),
    ...(details ? { details } : {}),
    code,
  });
}

const about = (resource: GroupResource, name: string) => ({
  ...(name ? { name } : {}),
  ...(resource.group ? { group: resource.group } : {}),
  ...(resource.resource ? { kind: resource.resource } : {}),
});

/** Reason and message of NewGenericServerResponse; without a message the server's own text is shown. */
const genericAnswers: Readonly<Record<number, readonly [reason: string, message?: string]>> = {
  400: ["BadRequest", "the server rejected our request for an unknown reason"],
  401: ["Unauthorized", "the server has asked for the client to provide credentials"],
  403: ["Forbidden"],
  404: ["NotFound", "the server could not find the requested resource"],
  405: ["MethodNotAllowed", "the server does not allow this method on the requested resource"],
  406: ["NotAcceptable"],
  409: ["Conflict", "the server reported a conflict"],
  415: ["UnsupportedMediaType"],
  422: ["Invalid", "the server rejected our request due to an error in our request"],
  429: ["TooManyRequests", "the server has received too many requests and has asked us to try again later"],
  503: ["ServiceUnavailable", "the server is currently unable to handle the request"],
  504: [
    "Timeout",
    "the server was unable to return a response in the time allotted, but may still be processing the request",
  ],
};

export const statusError = {
  notFound: (resource: GroupResource, name: string) =>
    failure(404, "NotFound", `${printGroupResource(resource)} ${goQuote(name)} not found`, about(resource, name)),
  /** No such path, group or resource. */
  unknownPath: () => failure(404, "NotFound", "the server could not find the requested resource", {}),
  alreadyExists: (resource: GroupResource, name: string) =>
    failure(
      409,
      "AlreadyExists",
      `${printGroupResource(resource)} ${goQuote(name)} already exists`,
      about(resource, name),
    ),
  conflict: (resource: GroupResource, name: string, why: string) =>
    failure(
      409,
      "Conflict",
      `Operation cannot be fulfilled on ${printGroupResource(resource)} ${goQuote(name)}: ${why}`,
      about(resource, name),
    ),
  /** Optimistic lock lost. */
  modified: (resource: GroupResource, name: string) =>
    statusError.conflict(
      resource,
      name,
      "the object has been modified; please apply your changes to the latest version and try again",
    ),
  /** Server-side apply conflicts carry one cause for each field. */
  applyConflict: (causes: StatusCause[], message: string) => failure(409, "Conflict", message, { causes }),
  badRequest: (message: string) => failure(400, "BadRequest", message),
  unauthorized: () => failure(401, "Unauthorized", "Unauthorized"),
  forbidden: (resource: GroupResource, name: string, why: string) =>
    failure(
      403,
      "Forbidden",
      resource.resource === ""
        ? `forbidden: ${why}`
        : name === ""
          ? `${printGroupResource(resource)} is forbidden: ${why}`
          : `${printGroupResource(resource)} ${goQuote(name)} is forbidden: ${why}`,
      about(resource, name),
    ),
  invalid: (kind: { group: string; kind: string }, name: string, errors: readonly FieldError[]) => {
    const printedKind = kind.group === "" ? kind.kind : `${kind.kind}.${kind.group}`;
    const list = errors.length > 0 ? `: ${printFieldErrors(errors)}` : "";
    return failure(422, "Invalid", `${printedKind} ${goQuote(name)} is invalid${list}`, {
      ...(name ? { name } : {}),
      ...(kind.group ? { group: kind.group } : {}),
      ...(kind.kind ? { kind: kind.kind } : {}),
      ...(errors.length > 0
        ? { causes: errors.map(({ reason, message, field }) => ({ reason, message, field })) }
        : {}),
    });
  },
  methodNotSupported: (resource: GroupResource, action: string) =>
    failure(
      405,
      "MethodNotAllowed",
      `${action} is not supported on resources of kind ${goQuote(printGroupResource(resource))}`,
      about(resource, ""),
    ),
  /** The path exists, the HTTP method does not. */
  methodNotAllowed: () =>
    failure(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {}),
  notAcceptable: (supported: readonly string[]) =>
    failure(406, "NotAcceptable", `only the following media types are accepted: ${supported.join(", ")}`),
  unsupportedMediaType: (supported: readonly string[]) =>
    failure(
      415,
      "UnsupportedMediaType",
      `the body of the request was in an unknown format - accepted media types include: ${supported.join(", ")}`,
    ),
  tooLarge: (message: string) => failure(413, "RequestEntityTooLarge", message),
  tooManyRequests: (message: string, retryAfterSeconds: number) =>
    failure(429, "TooManyRequests", message, { retryAfterSeconds }),
  gone: (message: string) => failure(410, "Gone", message),
  expired: (message: string) => failure(410, "Expired", message),
  timeout: (message: string, retryAfterSeconds = 0) =>
    failure(504, "Timeout", message, retryAfterSeconds ? { retryAfterSeconds } : {}),
  internal: (why: string) =>
    failure(500, "InternalError", `Internal error occurred: ${why}`, { causes: [{ message: why }] }),
  /** What upstream answers where only an HTTP code is known: from the router, or for a patch that cannot be applied. */
  generic: (code: number, serverMessage = "") => {
    const [reason, message] = genericAnswers[code] ?? [
      code >= 500 ? "InternalError" : "",
      code >= 500
        ? `an error on the server (${goQuote(serverMessage)}) has prevented the request from succeeding`
        : `the server responded with the status code ${code} but did not return more information`,
    ];
    return failure(code, reason, message ?? serverMessage, {});
  },
  /** What upstream answers for an error of its own that is no status: 500 with the bare text. */
  unknown: (message: string) => failure(500, "", message),
  serviceUnavailable: (message: string) => failure(503, "ServiceUnavailable", message),
};
