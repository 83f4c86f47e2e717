/** What a proxy tells whoever measures it or answers health checks; the nftables and the user-space proxy tell the same. */

export interface Committed {
  /** Services known to the kernel (or listened for) after it. */
  readonly services: number;
  readonly durationMs: number;
  /** `full`: the whole table; `partial`: the difference only. */
  readonly kind: "full" | "partial";
  /** Milliseconds since 1970: the last-change-trigger-time of each slice that changed since the last commit and after the proxy's start. */
  readonly triggers: readonly number[];
}

export interface HealthCheck {
  readonly namespace: string;
  readonly name: string;
  /** `spec.healthCheckNodePort`. */
  readonly port: number;
  /** Ready endpoints on this node, counted by address. */
  readonly local: number;
}

export interface ProxyObserver {
  committed(result: Committed): void;
  /** A transaction was refused; it will be tried again. */
  failed(error: unknown): void;
  /** Something changed that will be committed. */
  queued(): void;
  /** What was queued needs no change of the kernel's rules. */
  unchanged?(): void;
  /** Connections of one family that conntrack was told to forget, in one round. */
  forgotten?(family: "IPv4" | "IPv6", flows: number, durationMs: number): void;
  /** Ports of Services whose policy keeps traffic on this node, which has no endpoint of them, whenever their number changed. */
  withoutLocal?(ports: Readonly<Record<"internal" | "external", Readonly<Record<"IPv4" | "IPv6", number>>>>): void;
  /** All of them, by `namespace/name` of the Service, whenever one changed; first after the first commit. */
  localEndpoints?(healthChecks: ReadonlyMap<string, HealthCheck>): void;
}
