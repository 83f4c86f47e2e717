/** One request to a resource, as the registry sees it: parsed, authenticated and authorized. */
import type { RequestUser } from "#api";
import type { RequestAudit } from "../audit/request-audit.ts";
import type { Query } from "../query.ts";
import type { ResourceTarget } from "../request-target.ts";
import type { Resource } from "../resource.ts";
import type { RequestMeter } from "../traffic.ts";

export interface RequestBody {
  /** Media type without parameters, in lower case; "" when the client sent none. */
  readonly contentType: string;
  /** What bodies may be, beside patches; absent: what every server takes. */
  readonly mediaTypes?: readonly string[];
  /** Rejects with 413 when it is too large. */
  bytes(): Promise<Buffer>;
  /** From callers in this process: the object itself, already a copy that may be changed. */
  readonly value?: unknown;
  /** How large about that is as text, where known; else it counts as small. */
  readonly valueBytes?: number;
}

export interface Call {
  readonly user: RequestUser;
  readonly verb: string;
  readonly resource: Resource;
  readonly target: ResourceTarget;
  readonly query: Query;
  readonly userAgent: string;
  readonly body: RequestBody;
  /** Texts for Warning headers; handlers add to it. */
  readonly warnings: string[];
  /** Milliseconds since the epoch, the same for the whole request. */
  readonly now: number;
  /** Of requests that clients make. */
  readonly meter?: RequestMeter | undefined;
  /** If there is an audit log and it wants to know of this request. */
  readonly audit?: RequestAudit | undefined;
}
