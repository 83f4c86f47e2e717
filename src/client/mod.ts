export { createClient, parseResourceName, resourcePath } from "./client.ts";
export { ConnectionError } from "./connection.ts";
export { delay } from "./delay.ts";
export {
  type ClosableEventRecorder,
  createEventRecorder,
  createSeriesRecorder,
  type EventRecorderOptions,
  objectReference,
} from "./event-recorder.ts";
export { createHttpsTransport, type HttpsTransportOptions } from "./https-transport.ts";
export { createInformers, type InformerSetOptions } from "./informer.ts";
export {
  type Kubeconfig,
  type KubeconfigTarget,
  kubeconfigPaths,
  kubeconfigTarget,
  readKubeconfig,
  tokenFileSource,
} from "./kubeconfig.ts";
export { type LeaderElection, type LeaderElectionOptions, createLeaderElection } from "./leader-election.ts";
export { keyOf, splitKey } from "./object-store.ts";
export { type ReflectorOptions, type ReflectorSink, runReflector } from "./reflector.ts";
export { microTime, secondTime } from "./time.ts";
export { TimerHeap } from "./timer-heap.ts";
export type * from "./types.ts";
export { type MeteredTransportOptions, meteredTransport } from "./metered-transport.ts";
export { createWorkQueue, type WorkQueueOptions } from "./work-queue.ts";
