/** `--config` of kube-scheduler names a KubeSchedulerConfiguration: what of it other flags say too is read as if these were given. */
const leader = {
  leaderElect: "leader-elect",
  leaseDuration: "leader-elect-lease-duration",
  renewDeadline: "leader-elect-renew-deadline",
  retryPeriod: "leader-elect-retry-period",
  resourceLock: "leader-elect-resource-lock",
  resourceName: "leader-elect-resource-name",
  resourceNamespace: "leader-elect-resource-namespace",
} as const;

interface SchedulerFile {
  readonly kind?: unknown;
  readonly clientConnection?: { readonly kubeconfig?: string };
  readonly leaderElection?: Readonly<Partial<Record<keyof typeof leader, unknown>>>;
}

/** Undefined when it is another file. Flags on the command line go first. */
export function schedulerFileFlags(path: string, content: object): Record<string, unknown> | undefined {
  const { kind, clientConnection, leaderElection } = content as SchedulerFile; // checked when it is read as a whole
  if (kind !== "KubeSchedulerConfiguration") return undefined;
  const given = Object.entries(leader).map(([field, flag]) => [flag, leaderElection?.[field as keyof typeof leader]]);
  const flags = { ...Object.fromEntries(given), kubeconfig: clientConnection?.kubeconfig };
  const said = Object.entries(flags).filter(([, value]) => value !== undefined && value !== "");
  return { ...Object.fromEntries(said), "scheduler-config": path };
}
