export { createClient, parseResourceName, resourcePath } from "./client.ts";
export { ConnectionError } from "./connection.ts";
export { delay } from "./delay.ts";
export { createHttpsTransport, type HttpsTransportOptions } from "./https-transport.ts";
export { createInformers, type InformerSetOptions } from "./informer.ts";
export { keyOf, splitKey } from "./object-store.ts";
export { TimerHeap } from "./timer-heap.ts";
export type * from "./types.ts";
export { createWorkQueue, type WorkQueueOptions } from "./work-queue.ts";
