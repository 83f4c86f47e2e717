/** Lifecycle hooks: what a container wants done right after it starts and before it stops. */
import type { LifecycleHandler } from "#api";
import type { Clock } from "#base";
import { delay } from "#client";
import { type DeepReadonly, goQuote } from "#machinery";
import { type ContainerSpec, type PodView, printPod } from "../core/types.ts";
import type { CriClient } from "../cri/client.ts";
import { execInContainer } from "../probes/exec.ts";
import { callHttp, HttpError, httpUrl } from "../probes/http.ts";
import { resolvePort } from "../probes/run-probe.ts";

export interface HookTarget {
  readonly cri: CriClient;
  readonly clock: Clock;
  readonly pod: PodView;
  readonly container: ContainerSpec;
  readonly containerId: string;
  readonly podIP: string;
  readonly signal: AbortSignal;
  event(type: "Normal" | "Warning", reason: string, message: string): void;
}

/** Undefined when it went well, else what a container's status says; events don't repeat it, since it may hold secrets. */
export async function runHook(
  handler: DeepReadonly<LifecycleHandler>,
  target: HookTarget,
): Promise<string | undefined> {
  const { container, pod, signal, clock } = target;
  const failed = (what: string, why: string) =>
    `${what} for Container ${goQuote(container.name)} in Pod ${goQuote(printPod(pod))} failed - error: ${why}`;
  if (handler.exec) {
    const command = handler.exec.command ?? [];
    const { cri, containerId } = target;
    const outcome = await execInContainer(cri, { containerId, command, timeoutMs: 0, signal });
    if (outcome.kind === "exited" && outcome.exitCode === 0) return undefined;
    const [error, output] =
      outcome.kind === "exited"
        ? [`command '${command.join(" ")}' exited with ${outcome.exitCode}: ${outcome.errors}`, outcome.output]
        : [outcome.message, ""];
    return failed(`Exec lifecycle hook ([${command.join(" ")}])`, `${error}, message: ${goQuote(output)}`);
  }
  if (handler.httpGet) {
    const error = await tellHttp(handler.httpGet, target);
    return error === undefined ? undefined : failed(`HTTP lifecycle hook (${handler.httpGet.path ?? ""})`, error);
  }
  if (handler.sleep) {
    const { seconds } = handler.sleep;
    await delay(clock, seconds * 1000, signal);
    return signal.aborted
      ? failed(`Sleep lifecycle hook (${seconds})`, "container terminated before sleep hook finished")
      : undefined;
  }
  return `Cannot run handler: invalid handler: ${printHandler(handler)}`;
}

/** Any answer is well: a hook only tells. Who speaks HTTP where HTTPS was said is told so, without credentials. */
async function tellHttp(
  { scheme = "HTTP", host, port, path = "", httpHeaders = [] }: NonNullable<DeepReadonly<LifecycleHandler>["httpGet"]>,
  { container, podIP, signal, event }: HookTarget,
): Promise<string | undefined> {
  try {
    const url = httpUrl({ scheme, host: host || podIP, port: resolvePort(port, container), path });
    const options = { headers: httpHeaders, signal, purpose: "lifecycle" } as const;
    try {
      await callHttp(url, options);
    } catch (error) {
      if (!(error instanceof HttpError && error.isPlainAnswer)) throw error;
      const plain = new URL(`http:${url.href.slice(url.protocol.length)}`);
      plain.port = url.port || "443";
      const headers = httpHeaders.filter(({ name }) => name.toLowerCase() !== "authorization");
      if (await callHttp(plain, { ...options, headers }).catch(() => undefined))
        event(
          "Warning",
          "LifecycleHTTPFallback",
          `request to HTTPS lifecycle hook ${url.hostname}:${plain.port} got HTTP response, retry with HTTP succeeded`,
        );
      else throw error;
    }
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** As Go prints it; only a handler that nobody runs is. */
function printHandler({ tcpSocket }: DeepReadonly<LifecycleHandler>): string {
  const { port = 0, host = "" } = tcpSocket ?? {};
  const printed = typeof port === "number" ? `{0 ${port} }` : `{1 0 ${port}}`;
  const socket = tcpSocket ? `&TCPSocketAction{Port:${printed},Host:${host},}` : "nil";
  return `&LifecycleHandler{Exec:nil,HTTPGet:nil,TCPSocket:${socket},Sleep:nil,}`;
}
