/** The thread that serves Ingresses beside a node; see node-ingress.ts. Ends with a message. */
import { parentPort, workerData } from "node:worker_threads";
import { assert, createLogger, type LogLevel, realClock } from "#base";
import { createClient, createHttpsTransport } from "#client";
import { runIngress } from "#ingress";
import { makeIngressCertificate } from "./ingress-certificate.ts";
import type { IngressThread } from "./node-ingress.ts";

assert(parentPort, "this is the program of a thread");
const { transport: how, logLevel = "info", ...options } = workerData as IngressThread; // as node-ingress.ts gives it
const stop = new AbortController();
parentPort.once("message", () => stop.abort());
const log = createLogger({ write: (line) => process.stderr.write(line), level: logLevel as LogLevel }); // a logger's own
const transport = createHttpsTransport({ ...how, userAgent: "sampan-ingress" });
await runIngress(
  {
    ...options,
    ...{ client: createClient(transport), keepsStatus: true, makeCertificate: makeIngressCertificate },
    ...{ clock: realClock, log },
  },
  stop.signal,
);
transport.close();
parentPort.close();
