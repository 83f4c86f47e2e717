/**
 * Tells the API server that this node exists and how it is: registration, status when it changes (and every five minutes), and a lease every
 * ten seconds as the sign of life; or as often as the configuration says.
 */
import type { Lease, Node, NodeStatus } from "#api";
import { backoffMs, type Clock, type Logger } from "#base";
import { type Client, delay, type EventRecorder } from "#client";
import { type DeepReadonly, formatMicroTime, isStatusError } from "#machinery";
import type { KubeletConfiguration } from "../config/configuration.ts";
import { newNode, type NodeIdentity, nodeStatusPatch, reconciledMetadata, statusChanged } from "./node-status.ts";

export interface NodeAgent {
  /** Registers, then keeps status and lease fresh until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** Something that the status tells of changed. */
  changed(): void;
  /** Resolves when the node is registered. */
  registered(): Promise<DeepReadonly<Node>>;
}

export interface NodeAgentOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
  readonly recorder: EventRecorder;
  readonly identity: NodeIdentity;
  readonly config: Pick<
    KubeletConfiguration,
    "registerNode" | "nodeStatusUpdateFrequency" | "nodeStatusReportFrequency" | "nodeLeaseDurationSeconds"
  >;
  /** The node as the server shows it, to whose status others may have added. */
  shown(): DeepReadonly<Node> | undefined;
  /** The status now, given the one that was written last. */
  status(old: DeepReadonly<NodeStatus>): Promise<NodeStatus>;
}

const registerRetry = { initialMs: 100, maxMs: 7_000 };
/** Of a lease's life. */
const renewShare = 0.25;
const leaseNamespace = "kube-node-lease";

export function createNodeAgent(options: NodeAgentOptions): NodeAgent {
  const { client, clock, log, recorder, identity, config } = options;
  const { nodeName } = identity;
  const nodes = client.resource("v1/nodes");
  const leases = client.resource("coordination.k8s.io/v1/leases", leaseNamespace);
  const registration = Promise.withResolvers<DeepReadonly<Node>>();
  let known: DeepReadonly<NodeStatus> = {};
  let writtenAt = 0;
  /** So that nodes that changed at once don't write at once ever after. */
  let spreadMs = 0;
  let isUnschedulable = false;
  let poke = (): void => undefined;
  let isPoked = false;

  const event = (type: "Normal" | "Warning", reason: string, message: string) =>
    // Events about nodes have the node's name where others have a uid: so do upstream's.
    recorder.event(
      { apiVersion: "v1", kind: "Node", metadata: { name: nodeName, uid: nodeName } },
      { type, reason, message },
    );

  async function register(signal: AbortSignal): Promise<void> {
    let isTold = false;
    for (let failures = 0; !signal.aborted; ) {
      try {
        if (!config.registerNode) return registration.resolve(await takeOver());
        const status = await options.status(known);
        if (!isTold) tellTurns({}, status);
        isTold = true;
        const made = await nodes.create(newNode(identity, status)).catch((error: unknown) => {
          // Who may not make nodes may have one.
          if (isStatusError(error, "AlreadyExists") || isStatusError(error, "Forbidden")) return undefined;
          throw error;
        });
        if (made) {
          known = made.status ?? {};
          written();
        }
        return registration.resolve(made ?? (await takeOver()));
      } catch (error) {
        failures++;
        log.warn("the node could not be registered", { node: nodeName, error });
        await delay(clock, backoffMs(failures, registerRetry), signal);
      }
    }
  }

  /** The node was here before: put right what says what it is. */
  async function takeOver(): Promise<DeepReadonly<Node>> {
    const existing = await nodes.get(nodeName);
    known = existing.status ?? {};
    isUnschedulable = existing.spec?.unschedulable ?? false;
    const { bootId } = identity.machine;
    const before = known.nodeInfo?.bootID;
    if (before && before !== bootId)
      event("Warning", "Rebooted", `Node ${nodeName} has been rebooted, boot id: ${bootId}`);
    const metadata = reconciledMetadata(newNode(identity, {}), existing);
    return metadata && config.registerNode ? nodes.patch(nodeName, { metadata }, { type: "merge" }) : existing;
  }

  const written = (): void => {
    writtenAt = clock.now();
  };

  async function writeStatus(): Promise<void> {
    const shown = options.shown();
    known = shown?.status ?? known;
    tellScheduling(shown?.spec?.unschedulable ?? isUnschedulable);
    const status = await options.status(known);
    const isDue = clock.now() - writtenAt >= config.nodeStatusReportFrequency + spreadMs;
    const isChanged = statusChanged(known, status);
    if (!isDue && !isChanged) return;
    tellTurns(known, status);
    const answer = await nodes.patch(nodeName, nodeStatusPatch(status, known), {
      type: "strategic",
      subresource: "status",
    });
    known = answer.status ?? status;
    spreadMs = isChanged || writtenAt === 0 ? config.nodeStatusReportFrequency * (Math.random() - 0.5) : 0;
    written();
  }

  function tellScheduling(unschedulable: boolean): void {
    if (unschedulable === isUnschedulable) return;
    isUnschedulable = unschedulable;
    tell(unschedulable ? "NodeNotSchedulable" : "NodeSchedulable");
  }

  const tell = (reason: string) => event("Normal", reason, `Node ${nodeName} status is now: ${reason}`);

  /** Events for conditions that turned. */
  function tellTurns(before: DeepReadonly<NodeStatus>, after: NodeStatus): void {
    const names: Readonly<Record<string, readonly [string, string]>> = {
      MemoryPressure: ["NodeHasInsufficientMemory", "NodeHasSufficientMemory"],
      DiskPressure: ["NodeHasDiskPressure", "NodeHasNoDiskPressure"],
      PIDPressure: ["NodeHasInsufficientPID", "NodeHasSufficientPID"],
      Ready: ["NodeReady", "NodeNotReady"],
    };
    for (const { type, status } of after.conditions ?? []) {
      const old = before.conditions?.find((condition) => condition.type === type)?.status;
      // What wasn't known is no turn, but pressure is: upstream begins with "Unknown".
      if (old === status || (old === undefined && type === "Ready")) continue;
      const reason = names[type]?.[status === "True" ? 0 : 1];
      if (reason) tell(reason);
    }
  }

  async function keepStatus(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      isPoked = false;
      await writeStatus().catch((error: unknown) =>
        log.warn("the node's status could not be written", { node: nodeName, error }),
      );
      if (isPoked) continue;
      const woken = new Promise<void>((resolve) => {
        poke = resolve;
      });
      const wait = new AbortController();
      await Promise.race([
        woken,
        delay(clock, config.nodeStatusUpdateFrequency, AbortSignal.any([signal, wait.signal])),
      ]);
      wait.abort();
    }
  }

  const leaseSpec = () => ({
    holderIdentity: nodeName,
    leaseDurationSeconds: config.nodeLeaseDurationSeconds,
    renewTime: formatMicroTime(clock.now()),
  });

  async function renewLease(uid: string | undefined, isFirst: boolean): Promise<void> {
    const ownerReferences = uid ? [{ apiVersion: "v1", kind: "Node", name: nodeName, uid }] : [];
    const renew = async () => {
      // One that somebody else made gets its owner.
      const isOwned = !isFirst || (await leases.get(nodeName)).metadata.ownerReferences?.length;
      const metadata = isOwned ? {} : { metadata: { ownerReferences } };
      await leases.patch(nodeName, { ...metadata, spec: leaseSpec() }, { type: "merge" });
    };
    await renew().catch(async (error: unknown) => {
      if (!isStatusError(error, "NotFound")) throw error;
      const lease: Lease = {
        apiVersion: "coordination.k8s.io/v1",
        kind: "Lease",
        metadata: { name: nodeName, namespace: leaseNamespace, ...(uid ? { ownerReferences } : {}) },
        spec: leaseSpec(),
      };
      await leases.create(lease);
    });
  }

  async function keepLease(uid: string | undefined, signal: AbortSignal): Promise<void> {
    const renewMs = config.nodeLeaseDurationSeconds * 1000 * renewShare;
    let isFirst = true;
    for (let failures = 0; !signal.aborted; ) {
      try {
        await renewLease(uid, isFirst);
        isFirst = false;
        failures = 0;
      } catch (error) {
        failures++;
        log.warn("the node's lease could not be renewed", { node: nodeName, error });
      }
      await delay(clock, failures > 0 ? backoffMs(failures, registerRetry) : renewMs, signal);
    }
  }

  return {
    async run(signal) {
      event("Normal", "Starting", "Starting kubelet.");
      await register(signal);
      if (signal.aborted) return;
      const { metadata } = await registration.promise;
      await Promise.all([keepStatus(signal), keepLease(metadata.uid, signal)]);
    },
    changed() {
      isPoked = true;
      poke();
    },
    registered: () => registration.promise,
  };
}
