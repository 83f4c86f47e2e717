/** Which API services can't be reached, under upstream's names: what alerts of aggregated APIs look at. */
import type { MetricRegistry } from "#base";
import type { ApiServiceIndex } from "./api-service-index.ts";

export class AggregatorMetrics {
  readonly #total;

  constructor(registry: MetricRegistry, index: ApiServiceIndex) {
    const help = "Times that an API service became unavailable, by its name and the reason.";
    this.#total = registry.counter("aggregator_unavailable_apiservice_total", help, ["name", "reason"]);
    const now = registry.gauge("aggregator_unavailable_apiservice", "1 for API services that aren't available.", [
      "name",
    ]);
    registry.onCollect(() => {
      now.clear();
      for (const { name, available } of index.all()) now.with(name).set(available ? 0 : 1);
    });
  }

  lost(name: string, reason: string): void {
    this.#total.with(name, reason).inc();
  }
}
