/** A transport that counts what goes through it, under upstream's names (rest_client_…). */
import { type Clock, type MetricRegistry, preciseNow, realClock } from "#base";
import { type ApiRequest, isStatusError, type Transport } from "#machinery";

const bounds = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60];

export interface MeteredTransportOptions {
  readonly metrics: MetricRegistry;
  /** `host:port` of the server. */
  readonly host: string;
  readonly clock?: Clock;
}

export function meteredTransport(inner: Transport, options: MeteredTransportOptions): Transport {
  const { metrics, host, clock = realClock } = options;
  const precise = preciseNow(clock);
  const total = metrics.counter("rest_client_requests_total", "Requests to the API server.", [
    "code",
    "method",
    "host",
  ]);
  const duration = metrics.histogram("rest_client_request_duration_seconds", "Time of requests to the API server.", {
    bounds,
    labels: ["verb", "host"],
  });
  const observed = async <T>({ method }: ApiRequest, run: () => Promise<T>): Promise<T> => {
    const start = precise();
    let code = method === "POST" ? "201" : "200";
    try {
      return await run();
    } catch (error) {
      code = isStatusError(error) ? String(error.status.code ?? 500) : "<error>";
      throw error;
    } finally {
      total.with(code, method, host).inc();
      duration.with(method, host).observe((precise() - start) / 1000);
    }
  };
  return {
    request: (request) => observed(request, () => inner.request(request)),
    watch(request, onEvent) {
      // How long a watch lasts says nothing.
      total.with("200", request.method, host).inc();
      return inner.watch(request, onEvent);
    },
    close: () => inner.close(),
  };
}
