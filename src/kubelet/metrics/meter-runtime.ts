/** The runtime's client, each call of which is counted: how often, how long, what failed, and what pods and containers came of it. */
import { performance } from "node:perf_hooks";
import { containerByName, isSidecar, type PodView } from "../core/types.ts";
import { type CriClient, CriError } from "../cri/client.ts";
import { imageSizeText, type KubeletMetrics } from "./kubelet-metrics.ts";

/** What upstream calls otherwise than the rule below says. */
const names: Readonly<Record<string, string>> = { updateContainerResources: "update_container" };
/** `runPodSandbox`: `run_podsandbox`. */
const operationOf = (method: string): string =>
  names[method] ??
  method.replace(/(p|P)odSandbox/, "$1odsandbox").replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

type Call = (request: Record<string, unknown>, options?: unknown) => Promise<Record<string, unknown>>;
interface Ended {
  readonly request: Record<string, unknown>;
  readonly answer: Record<string, unknown> | undefined;
  readonly error: unknown;
  readonly seconds: number;
}

export interface MeterOptions {
  readonly metrics: KubeletMetrics;
  podOf(uid: string): PodView | undefined;
  /** Told of each pull for a pod. */
  onPull(podUid: string, seconds: number): void;
}

export function meterRuntime(cri: CriClient, { metrics, podOf, onPull }: MeterOptions): CriClient {
  /** Of containers made but not started. */
  const made = new Map<string, string>();
  const codeOf = (error: unknown) => (error instanceof CriError ? error.code : "UNKNOWN");

  const ends: Readonly<Record<string, (ended: Ended) => void>> = {
    runPodSandbox({ request, error, seconds }) {
      const handler = String(request.runtimeHandler ?? "");
      metrics.startedPods.inc();
      if (error === undefined) metrics.sandboxSeconds.with(handler).observe(seconds);
      else {
        metrics.sandboxErrors.with(handler).inc();
        metrics.startedPodErrors.inc();
      }
    },
    createContainer({ request, answer, error }) {
      const { config, sandboxConfig } = request as {
        config?: { metadata?: { name?: string } };
        sandboxConfig?: { metadata?: { uid?: string } };
      }; // of that call
      const type = typeOf(podOf(sandboxConfig?.metadata?.uid ?? ""), config?.metadata?.name ?? "");
      if (answer) made.set(String(answer.containerId), type);
      else metrics.startedContainerErrors.with(type, codeOf(error)).inc();
    },
    startContainer({ request, error }) {
      const id = String(request.containerId);
      const type = made.get(id) ?? "container";
      made.delete(id);
      if (error === undefined) metrics.startedContainers.with(type).inc();
      else metrics.startedContainerErrors.with(type, codeOf(error)).inc();
    },
    removeContainer: ({ request }) => void made.delete(String(request.containerId)),
    pullImage({ request, error, seconds }) {
      const { sandboxConfig } = request as { sandboxConfig?: { metadata?: { uid?: string } } }; // of that call
      onPull(sandboxConfig?.metadata?.uid ?? "", seconds);
      if (error !== undefined) return;
      cri.image
        .imageStatus({ image: request.image as { image: string } }) // of that call
        .then(({ image }) => image?.size ?? 0)
        .catch(() => 0)
        .then((bytes) => metrics.pullSeconds.with(imageSizeText(bytes)).observe(seconds));
    },
  };

  function metered<T extends object>(service: T): T {
    const entries = Object.entries(service).map(([method, call]: [string, Call]) => {
      // A stream doesn't end.
      if (method === "getContainerEvents") return [method, call];
      const operation = operationOf(method);
      const end = ends[method];
      const counted: Call = (request, options) => {
        metrics.calls.with(operation).inc();
        const started = performance.now();
        const done = (answer: Ended["answer"], error: unknown) => {
          const seconds = (performance.now() - started) / 1000;
          metrics.callSeconds.with(operation).observe(seconds);
          if (error !== undefined) metrics.callErrors.with(operation).inc();
          end?.({ request, answer, error, seconds });
        };
        const working = call(request, options);
        working.then(
          (answer) => done(answer, undefined),
          (error: unknown) => done(undefined, error),
        );
        return working;
      };
      return [method, counted];
    });
    return Object.fromEntries(entries) as T; // the same methods
  }
  return { ...cri, runtime: metered(cri.runtime), image: metered(cri.image) };
}

function typeOf(pod: PodView | undefined, name: string): string {
  if (!pod || pod.spec?.containers.some((each) => each.name === name)) return "container";
  const found = containerByName(pod, name);
  if (found && (isSidecar(found) || pod.spec?.initContainers?.includes(found as never))) return "init_container"; // one of that list, or none
  return "ephemeral_container";
}
