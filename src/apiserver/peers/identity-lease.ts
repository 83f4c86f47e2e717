/**
 * Each API server says by a Lease that it is there (`apiserver-…` in kube-system), so that others know whom there is and which storage
 * versions they may still use; those that nobody renews are taken away. Follows component-helpers' lease controller and apiserverleasegc.
 */
import { randomUUID } from "node:crypto";
import type { Lease } from "#api";
import type { Clock, Logger } from "#base";
import type { DeepReadonly } from "#machinery";
import type { RegistryCore } from "../registry/core.ts";
import { serverId } from "./identity.ts";
import { createOwn, type OwnObject, readOwn, removeOwn, updateOwn } from "./write-own.ts";

const leaseSeconds = 3_600;
const renewMs = 10_000;
const collectMs = 3_600_000;
const namespace = "kube-system";
const identityLabel = "apiserver.kubernetes.io/identity";
const component = "kube-apiserver";

export interface IdentityLeaseOptions {
  readonly core: RegistryCore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly hostname: string;
  /** `10.0.0.1:6443`: where the others reach this one; undefined when they can't. */
  readonly peerAddress: string | undefined;
}

/** Answers a function that gives the lease back. */
export function keepIdentityLease(options: IdentityLeaseOptions): () => Promise<void> {
  const { core, clock, log, hostname, peerAddress } = options;
  const id = serverId(hostname);
  const holderIdentity = `${id}_${randomUUID()}`;
  const at = leaseNamed(id);
  let cancelRenewal: (() => void) | undefined;
  let closed = false;

  const write = async () => {
    const found = await readOwn<Lease>(options, at);
    const renewTime = new Date(clock.now()).toISOString().replace("Z", "000Z");
    const annotations = peerAddress && { "kubernetes.io/peer-advertise-address": peerAddress };
    const metadata = {
      ...found?.metadata,
      name: id,
      namespace,
      labels: { ...found?.metadata.labels, [identityLabel]: component, "kubernetes.io/hostname": hostname },
      ...((annotations || found?.metadata.annotations) && {
        annotations: { ...found?.metadata.annotations, ...annotations },
      }),
    };
    const spec = { ...found?.spec, holderIdentity, leaseDurationSeconds: leaseSeconds, renewTime };
    if (found) await updateOwn(options, at, { metadata, spec });
    else await createOwn(options, at, { metadata, spec });
  };
  const renew = async (): Promise<void> => {
    try {
      await write();
    } catch (error) {
      if (!closed) log.warn("the server's own lease could not be renewed", { lease: id, error });
    }
    if (!closed)
      cancelRenewal = clock.after(renewMs, () => {
        running = renew();
      });
  };
  // What a server of this host left when it broke is not this one's.
  let running = removeOwn(options, at)
    .catch((error: unknown) => log.warn("an old lease could not be removed", { lease: id, error }))
    .then(renew);
  const endCollecting = collectLeases({ core, clock, log });
  return async () => {
    closed = true;
    cancelRenewal?.();
    endCollecting();
    await running;
    await removeOwn(options, at);
  };
}

const leaseNamed = (name: string): OwnObject => ({
  group: "coordination.k8s.io",
  version: "v1",
  resource: "leases",
  namespace,
  name,
});

/** Takes away what nobody has renewed for its time. */
function collectLeases(options: Pick<IdentityLeaseOptions, "core" | "clock" | "log">): () => void {
  const { clock, log } = options;
  let cancel: (() => void) | undefined;
  const round = async () => {
    try {
      await collectExpired(options);
    } catch (error) {
      log.warn("leases of servers that are gone could not be removed", { error });
    }
    cancel = clock.after(collectMs, () => void round());
  };
  cancel = clock.after(collectMs, () => void round());
  return () => cancel?.();
}

export async function collectExpired(options: Pick<IdentityLeaseOptions, "core" | "clock">): Promise<void> {
  const { core, clock } = options;
  const kind = core.table.stored("coordination.k8s.io", "leases");
  if (!kind) return;
  const cache = await core.storage.cache(kind);
  const expired = cache
    .all()
    .filter((object) => object.namespace === namespace && object.labels()[identityLabel] === component)
    .filter((object) => isExpired(object.decoded() as DeepReadonly<Lease>, clock.now())); // of that kind
  for (const { name } of expired) await removeOwn(options, leaseNamed(name));
}

function isExpired({ spec }: DeepReadonly<Lease>, now: number): boolean {
  const { renewTime, leaseDurationSeconds } = spec ?? {};
  if (!renewTime || leaseDurationSeconds === undefined) return true;
  return Date.parse(renewTime) + leaseDurationSeconds * 1000 < now;
}
