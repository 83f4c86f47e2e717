/**
 * Tells the API server that this node exists and how it is: registration, status when it changes (and every five minutes), and a lease every
 * ten seconds as the sign of life.
 */
import type { Lease, Node, NodeStatus } from "#api";
import { backoffMs, type Clock, type Logger } from "#base";
import { type Client, delay, type EventRecorder } from "#client";
import { type DeepReadonly, formatMicroTime, isStatusError } from "#machinery";
import { newNode, type NodeIdentity, nodeStatusPatch, statusChanged } from "./node-status.ts";

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
  /** The status as the server shows it, to which others may have added. */
  shown(): DeepReadonly<NodeStatus> | undefined;
  /** The status now, given the one that was written last. */
  status(old: DeepReadonly<NodeStatus>): Promise<NodeStatus>;
}

const registerRetry = { initialMs: 100, maxMs: 7_000 };
const statusLookMs = 10_000;
const statusWriteMs = 5 * 60_000;
const leaseRenewMs = 10_000;
const leaseSeconds = 40;
const leaseNamespace = "kube-node-lease";

export function createNodeAgent(options: NodeAgentOptions): NodeAgent {
  const { client, clock, log, recorder, identity } = options;
  const { nodeName } = identity;
  const nodes = client.resource("v1/nodes");
  const leases = client.resource("coordination.k8s.io/v1/leases", leaseNamespace);
  const registration = Promise.withResolvers<DeepReadonly<Node>>();
  let known: DeepReadonly<NodeStatus> = {};
  let writtenAt = 0;
  let poke = (): void => undefined;
  let isPoked = false;

  const event = (type: "Normal" | "Warning", reason: string, message: string) =>
    // Events about nodes have the node's name where others have a uid: so do upstream's.
    recorder.event(
      { apiVersion: "v1", kind: "Node", metadata: { name: nodeName, uid: nodeName } },
      { type, reason, message },
    );

  async function register(signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted; ) {
      try {
        const status = await options.status(known);
        const node = newNode(identity, status);
        const made = await nodes.create(node).catch((error: unknown) => {
          if (isStatusError(error, "AlreadyExists")) return undefined;
          throw error;
        });
        if (made) {
          tellTurns({}, status);
          known = made.status ?? {};
          writtenAt = clock.now();
          registration.resolve(made);
        } else registration.resolve(await takeOver());
        return;
      } catch (error) {
        failures++;
        log.warn("the node could not be registered", { node: nodeName, error });
        await delay(clock, backoffMs(failures, registerRetry), signal);
      }
    }
  }

  /** The node was here before: put the labels right that say what it is. */
  async function takeOver(): Promise<DeepReadonly<Node>> {
    const existing = await nodes.get(nodeName);
    known = existing.status ?? {};
    const { labels, annotations } = newNode(identity, {}).metadata;
    const missing = (wanted: Record<string, string> = {}, found: Readonly<Record<string, string>> = {}) =>
      Object.fromEntries(Object.entries(wanted).filter(([key, value]) => found[key] !== value));
    const patch = {
      labels: missing(labels, existing.metadata.labels),
      annotations: missing(annotations, existing.metadata.annotations),
    };
    return Object.values(patch).some((each) => Object.keys(each).length > 0)
      ? nodes.patch(nodeName, { metadata: patch }, { type: "merge" })
      : existing;
  }

  async function writeStatus(): Promise<void> {
    known = options.shown() ?? known;
    const status = await options.status(known);
    const isDue = clock.now() - writtenAt >= statusWriteMs;
    if (!isDue && !statusChanged(known, status)) return;
    tellTurns(known, status);
    const answer = await nodes.patch(nodeName, nodeStatusPatch(status, known), {
      type: "strategic",
      subresource: "status",
    });
    known = answer.status ?? status;
    writtenAt = clock.now();
  }

  /** Events for conditions that turned. */
  function tellTurns(before: DeepReadonly<NodeStatus>, after: NodeStatus): void {
    const names: Readonly<Record<string, readonly [string, string]>> = {
      MemoryPressure: ["NodeHasInsufficientMemory", "NodeHasSufficientMemory"],
      DiskPressure: ["NodeHasDiskPressure", "NodeHasNoDiskPressure"],
      PIDPressure: ["NodeHasInsufficientPID", "NodeHasSufficientPID"],
      Ready: ["NodeReady", "NodeNotReady"],
    };
    for (const { type, status } of after.conditions ?? []) {
      if (before.conditions?.find((condition) => condition.type === type)?.status === status) continue;
      const reason = names[type]?.[status === "True" ? 0 : 1];
      if (reason) event("Normal", reason, `Node ${nodeName} status is now: ${reason}`);
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
      await Promise.race([woken, delay(clock, statusLookMs, AbortSignal.any([signal, wait.signal]))]);
      wait.abort();
    }
  }

  async function renewLease(uid: string | undefined): Promise<void> {
    const renewTime = formatMicroTime(clock.now());
    await leases
      .patch(
        nodeName,
        { spec: { renewTime, holderIdentity: nodeName, leaseDurationSeconds: leaseSeconds } },
        { type: "merge" },
      )
      .catch(async (error: unknown) => {
        if (!isStatusError(error, "NotFound")) throw error;
        const lease: Lease = {
          apiVersion: "coordination.k8s.io/v1",
          kind: "Lease",
          metadata: {
            name: nodeName,
            namespace: leaseNamespace,
            ...(uid ? { ownerReferences: [{ apiVersion: "v1", kind: "Node", name: nodeName, uid }] } : {}),
          },
          spec: { holderIdentity: nodeName, leaseDurationSeconds: leaseSeconds, renewTime },
        };
        await leases.create(lease);
      });
  }

  async function keepLease(uid: string | undefined, signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted; ) {
      try {
        await renewLease(uid);
        failures = 0;
      } catch (error) {
        failures++;
        log.warn("the node's lease could not be renewed", { node: nodeName, error });
      }
      await delay(clock, failures > 0 ? backoffMs(failures, registerRetry) : leaseRenewMs, signal);
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
