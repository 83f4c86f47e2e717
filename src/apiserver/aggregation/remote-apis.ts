/** Everything about versions that others serve. Loaded when there is the first one: most clusters have none. */
import type { Clock, Logger } from "#base";
import type { Lookup } from "../admission/chain.ts";
import type { Answer } from "../answer.ts";
import type { RegistryCore } from "../registry/core.ts";
import type { KeyPair } from "../security/certificates.ts";
import type { AggregatorMetrics } from "./aggregator-metrics.ts";
import type { ApiServiceIndex } from "./api-service-index.ts";
import { Availability } from "./availability.ts";
import { Backends } from "./backends.ts";
import { type ProxyRequest, proxyAnswer } from "./proxy.ts";
import { RemoteDiscovery } from "./remote-discovery.ts";
import { RemoteOpenApi } from "./remote-openapi.ts";

export interface RemoteApisOptions {
  readonly core: RegistryCore;
  readonly lookup: Lookup;
  readonly index: ApiServiceIndex;
  readonly metrics: AggregatorMetrics;
  /** Shown to extension servers, who believe its owner when it says who asks. */
  readonly client: KeyPair | undefined;
  /** Extension servers are reached by endpoint, not by the cluster address of their Service. */
  readonly byEndpoints: boolean;
  /** For requests that don't stream. */
  readonly requestTimeoutMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

export class RemoteApis {
  readonly discovery: RemoteDiscovery;
  readonly openApi: RemoteOpenApi;
  readonly #options: RemoteApisOptions;
  readonly #backends: Backends;
  readonly #availability: Availability;
  readonly #stop: () => void;

  constructor(options: RemoteApisOptions) {
    const { index } = options;
    this.#options = options;
    this.#backends = new Backends(options);
    const parts = { ...options, backends: this.#backends };
    this.discovery = new RemoteDiscovery(parts);
    this.openApi = new RemoteOpenApi(parts);
    this.#availability = new Availability(parts);
    this.#stop = index.listen((names) => {
      for (const name of names) this.#update(name);
    });
    for (const { name } of index.remotes()) this.#update(name);
  }

  async start(): Promise<void> {
    await this.#availability.start();
  }

  close(): void {
    this.#stop();
    this.#availability.close();
    this.discovery.close();
    this.openApi.close();
    this.#backends.close();
  }

  answer(request: ProxyRequest): Promise<Answer> {
    const { clock, requestTimeoutMs: timeoutMs } = this.#options;
    return proxyAnswer({ backends: this.#backends, clock, timeoutMs }, request);
  }

  #update(name: string): void {
    if (this.#options.index.get(name)?.remote) {
      this.discovery.update(name);
      this.openApi.update(name);
      return;
    }
    this.discovery.forget(name);
    this.openApi.forget(name);
    this.#backends.forget(name);
  }
}
