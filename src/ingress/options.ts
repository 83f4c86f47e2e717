/** What a controller is told when it starts. */
import type { Clock, Logger } from "#base";
import type { Client } from "#client";
import type { Pair } from "./certificates.ts";

export interface IngressOptions {
  /** May do what the role `sampan:ingress` says. */
  readonly client: Client;
  /** 0: not at all; below: any free one. */
  readonly ports: { readonly http: number; readonly https: number };
  /** Listened on; all when missing. */
  readonly host?: string;
  /** Where clients find us, IP addresses or names: told in the status of Ingresses. */
  readonly addresses: readonly string[];
  /** Among several instances: ours, the same after a restart. */
  readonly identity: string;
  /** CIDRs and addresses of proxies before us whose headers about their clients are believed. */
  readonly trustedProxies?: readonly string[];
  /** When it ends, statuses are left as they are: it comes back at the same addresses with the rest of the cluster. */
  readonly keepsStatus?: boolean;
  /** A self-made certificate for hosts that have none. */
  readonly makeCertificate: () => Promise<Pair>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Each time that it begins to listen, with the ports it got. */
  readonly onListening?: (ports: { http?: number; https?: number }) => void;
}
