/** All that an API server counts in, made once. */
import type { Counter, MetricRegistry } from "#base";
import type { AdmissionObserver } from "../admission/chain.ts";
import { AdmissionMetrics } from "./admission-metrics.ts";
import { HealthMetrics } from "./health-metrics.ts";
import { RequestMetrics } from "./request-metrics.ts";
import { StorageMetrics } from "./storage-metrics.ts";

export class ServerMetrics {
  readonly registry: MetricRegistry;
  readonly requests: RequestMetrics;
  readonly storage: StorageMetrics;
  readonly admission: AdmissionMetrics;
  readonly handshakeErrors: Counter;
  /** Shown by themselves, at /metrics/slis. */
  readonly health = new HealthMetrics();

  constructor(registry: MetricRegistry, { version }: { version: string }) {
    this.registry = registry;
    this.requests = new RequestMetrics(registry);
    this.storage = new StorageMetrics(registry);
    this.admission = new AdmissionMetrics(registry);
    this.handshakeErrors = registry
      .counter("apiserver_tls_handshake_errors_total", "Connections that never came to a request.", [])
      .with();
    const [major = "", minor = ""] = version.split(".");
    registry
      .gauge("kubernetes_build_info", "What is running.", ["git_version", "go_version", "major", "minor", "platform"])
      .with(`v${version}.0`, `node ${process.version}`, major, minor, `${process.platform}/${process.arch}`)
      .set(1);
  }

  admissionObserver(precise: () => number): AdmissionObserver {
    const { admission } = this;
    return { precise, ran: (name, run) => (name === "" ? admission.step(run) : admission.plugin(name, run)) };
  }
}
