/** What haproxy shall do, before it is text. */

export interface Server {
  /** An IP address, or a name for haproxy to resolve when it starts. */
  readonly address: string;
  readonly port: number;
}

export type Check =
  | { readonly kind: "tcp" }
  /** `GET path` answers 200 on this port of the server; with `ca` (a file) over TLS on its own port. */
  | { readonly kind: "http"; readonly path: string; readonly port: number }
  | { readonly kind: "https"; readonly path: string; readonly ca: string | undefined };

/** One port that haproxy listens on, and who is behind it. */
export interface Balanced {
  /** Letters, digits and `_.:-`, unique. */
  readonly name: string;
  /** IP addresses; `*` is every IPv4 address. */
  readonly binds: readonly string[];
  readonly port: number;
  readonly servers: readonly Server[];
  readonly check: Check;
  /** CIDRs; none: from anywhere. */
  readonly sources: readonly string[];
  /** Connections of one client go to one server. */
  readonly sticky: boolean;
  /** Connections end when their server is found dead, so that clients who only listen notice. */
  readonly endsWithServer: boolean;
}

export interface Places {
  /** Unix socket of the runtime API; none: nobody will change it. */
  readonly socket?: string;
  /** Of the page with statistics. */
  readonly stats?: string | undefined;
}
