/** What the controllers' tests share: objects with the fields that matter, and a controller running on any transport. */
import type { Deployment, Pod, ReplicaSet } from "#api";
import { FakeClock, silentLogger } from "#base";
import { type Client, createClient, createInformers, type EventRecorder } from "#client";
import { formatTime, type Transport } from "#machinery";
import type { Controller, ControllerOptions } from "./controller.ts";
import { runLoop } from "./run-loop.ts";

/** When tests take place. */
export const testNow: number = Date.UTC(2026, 0, 1);

export const ago = (seconds: number): string => formatTime(testNow - seconds * 1000);

export interface PodShape {
  name: string;
  namespace?: string;
  labels?: Record<string, string>;
  owner?: { kind: string; name: string; uid: string; apiVersion?: string };
  node?: string;
  phase?: string;
  /** Seconds ago. */
  readySince?: number;
  created?: number;
  restarts?: number;
  annotations?: Record<string, string>;
  deleting?: boolean;
}

export function testPod(shape: PodShape): Pod {
  const { name, namespace = "default", labels = { app: "web" }, owner, node, phase = "Running", created = 100 } = shape;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace,
      uid: `uid-${name}`,
      labels,
      creationTimestamp: ago(created),
      ...(shape.annotations ? { annotations: shape.annotations } : {}),
      ...(shape.deleting ? { deletionTimestamp: ago(0) } : {}),
      ...(owner
        ? { ownerReferences: [{ apiVersion: "apps/v1", controller: true, blockOwnerDeletion: true, ...owner }] }
        : {}),
    },
    spec: { containers: [], ...(node ? { nodeName: node } : {}) },
    status: {
      phase,
      ...(shape.readySince === undefined
        ? {}
        : { conditions: [{ type: "Ready", status: "True", lastTransitionTime: ago(shape.readySince) }] }),
      ...(shape.restarts === undefined
        ? {}
        : { containerStatuses: [{ name: "c", image: "i", imageID: "", ready: true, restartCount: shape.restarts }] }),
    },
  };
}

const template = { metadata: { labels: { app: "web" } }, spec: { containers: [{ name: "web", image: "web:1" }] } };

export function testReplicaSet(name: string, change: Partial<ReplicaSet["spec"]> & object = {}): ReplicaSet {
  return {
    apiVersion: "apps/v1",
    kind: "ReplicaSet",
    metadata: { name, namespace: "default", uid: `uid-${name}`, generation: 1, creationTimestamp: ago(1000) },
    spec: { replicas: 1, selector: { matchLabels: { app: "web" } }, template, ...change },
    status: { replicas: 0 },
  };
}

export function testDeployment(name: string, change: Partial<Deployment["spec"]> & object = {}): Deployment {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace: "default", uid: `uid-${name}`, generation: 1, creationTimestamp: ago(1000) },
    spec: {
      replicas: 1,
      selector: { matchLabels: { app: "web" } },
      template,
      strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: "25%", maxUnavailable: "25%" } },
      revisionHistoryLimit: 10,
      progressDeadlineSeconds: 600,
      ...change,
    },
    status: {},
  };
}

export interface RecordedEvent {
  readonly about: string;
  readonly type: string;
  readonly reason: string;
  readonly message: string;
}

export interface RunningController {
  readonly client: Client;
  readonly clock: FakeClock;
  readonly events: RecordedEvent[];
  /** Resolves when the condition holds; fails when nothing more can happen. */
  until(condition: () => unknown): Promise<void>;
  stop(): Promise<void>;
}

/** Turns of the event loop after which a test that still waits has failed: everything here runs in memory. */
const turnsMax = 2000;

export async function turnsUntil(condition: () => unknown): Promise<void> {
  for (let turn = 0; turn < turnsMax; turn++) {
    if (condition()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`not within ${turnsMax} turns: ${condition}`);
}

export function runController(
  controller: Controller,
  transport: Transport,
  options: ControllerOptions = {},
): RunningController {
  const clock = new FakeClock(testNow);
  const client = createClient(transport);
  const informers = createInformers(client, { clock });
  const events: RecordedEvent[] = [];
  const recorder: EventRecorder = {
    event(about, { type, reason, message }) {
      events.push({ about: `${about.kind}/${about.metadata?.name}`, type, reason, message });
    },
  };
  const stopper = new AbortController();
  const loops = controller.create({ client, informers, events: recorder, clock, log: silentLogger, options });
  const running = Promise.all([
    informers.run(stopper.signal),
    ...loops.map((loop) => runLoop(loop, { name: controller.name, clock, log: silentLogger }, stopper.signal)),
  ]);
  return {
    client,
    clock,
    events,
    until: turnsUntil,
    async stop() {
      stopper.abort();
      await running;
    },
  };
}
