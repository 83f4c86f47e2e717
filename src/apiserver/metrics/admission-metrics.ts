/** How long admission takes and what it refuses, under upstream's names (admission/metrics). */
import type { Histogram, MetricRegistry } from "#base";

export type AdmissionStep = "admit" | "validate";

/** One step, plugin or webhook that was run. */
export interface AdmissionRun {
  readonly step: AdmissionStep;
  readonly operation: string;
  readonly elapsedMs: number;
  readonly rejected: boolean;
}

export interface WebhookRun extends AdmissionRun {
  /** Of its HTTP answer; 0: there was none. */
  readonly code: number;
}

const shape = ["type", "operation", "rejected"] as const;
const named = ["name", ...shape] as const;
const bounds = [0.005, 0.025, 0.1, 0.5, 1, 2.5];
const prefix = "apiserver_admission_";

export class AdmissionMetrics {
  readonly #steps;
  readonly #plugins;
  readonly #webhooks;
  readonly #answers;
  readonly #rejections;
  readonly #failOpen;
  /** By name; within it by operation, step and result. */
  readonly #known = new Map<string, Histogram[]>();

  constructor(registry: MetricRegistry) {
    const histogram = <const L extends readonly string[]>(
      name: string,
      help: string,
      options: { bounds: readonly number[]; labels: L },
    ) => registry.histogram(prefix + name, help, options);
    this.#steps = histogram("step_admission_duration_seconds", "Time of all mutating or all validating plugins.", {
      bounds,
      labels: shape,
    });
    this.#plugins = histogram("controller_admission_duration_seconds", "Time of one plugin.", {
      bounds,
      labels: named,
    });
    this.#webhooks = histogram("webhook_admission_duration_seconds", "Time of one webhook.", {
      bounds: [...bounds, 10, 25],
      labels: named,
    });
    this.#answers = registry.counter(`${prefix}webhook_request_total`, "Webhooks that were asked.", [
      "name",
      "type",
      "operation",
      "code",
      "rejected",
    ]);
    this.#rejections = registry.counter(`${prefix}webhook_rejection_count`, "Requests that webhooks refused.", [
      "name",
      "type",
      "operation",
      "error_type",
      "rejection_code",
    ]);
    this.#failOpen = registry.counter(`${prefix}webhook_fail_open_count`, "Failures of webhooks that were ignored.", [
      "name",
      "type",
    ]);
  }

  step(run: AdmissionRun): void {
    this.#find("", run).observe(run.elapsedMs / 1000);
  }

  plugin(name: string, run: AdmissionRun): void {
    this.#find(name, run).observe(run.elapsedMs / 1000);
  }

  webhook(name: string, { step, operation, elapsedMs, rejected, code }: WebhookRun): void {
    const refused = String(rejected);
    this.#webhooks.with(name, step, operation, refused).observe(elapsedMs / 1000);
    this.#answers.with(name, step, operation, String(code), refused).inc();
  }

  /** `errorType`: `calling_webhook_error`, `apiserver_internal_error` or `no_error`; `code` as the client gets it. */
  rejected(
    name: string,
    { step, operation, errorType, code }: { step: AdmissionStep; operation: string; errorType: string; code: number },
  ): void {
    // Upstream's: what isn't a code of HTTP's is none.
    this.#rejections.with(name, step, operation, errorType, String(code >= 600 ? 600 : code)).inc();
  }

  failOpen(name: string, step: AdmissionStep): void {
    this.#failOpen.with(name, step).inc();
  }

  #find(name: string, { step, operation, rejected }: AdmissionRun): Histogram {
    const series = this.#known.getOrInsertComputed(name, () => []);
    const at = operations.indexOf(operation) * 4 + (step === "admit" ? 0 : 2) + (rejected ? 1 : 0);
    const found = series[at];
    if (found) return found;
    const labels = [step, operation, String(rejected)] as const;
    const made = name === "" ? this.#steps.with(...labels) : this.#plugins.with(name, ...labels);
    series[at] = made;
    return made;
  }
}

const operations = ["CREATE", "UPDATE", "DELETE", "CONNECT"];
