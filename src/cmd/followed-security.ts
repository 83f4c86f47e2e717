/** What needs to know when a file that security comes from has changed. */
import type { Security } from "#apiserver";
import type { Clock, Logger } from "#base";

export interface FollowedSecurity {
  readonly security: Security;
  /** Tells the listener about changed authorities of client certificates. */
  readonly setClientAuthorities: () => void;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}
