/** Lifecycle hooks: what a container wants done right after it starts and before it stops. */
import type { LifecycleHandler } from "#api";
import type { Clock } from "#base";
import { delay } from "#client";
import { type DeepReadonly, goQuote } from "#machinery";
import { type ContainerSpec, type PodView, printPod } from "../core/types.ts";
import type { CriClient } from "../cri/client.ts";
import { execInContainer } from "../probes/exec.ts";
import { get } from "../probes/http.ts";
import { joinHostPort, printSocketError } from "../probes/outcome.ts";
import { resolvePort } from "../probes/run-probe.ts";

export interface HookTarget {
  readonly cri: CriClient;
  readonly clock: Clock;
  readonly pod: PodView;
  readonly container: ContainerSpec;
  readonly containerId: string;
  readonly podIP: string;
  readonly signal: AbortSignal;
}

const answerMsMax = 30_000;

/** Undefined when it went well, else the text of the event. */
export async function runHook(
  handler: DeepReadonly<LifecycleHandler>,
  target: HookTarget,
): Promise<string | undefined> {
  const { container, pod, signal, clock } = target;
  const about = `for Container ${goQuote(container.name)} in Pod ${goQuote(printPod(pod))} failed - error`;
  if (handler.exec) {
    const command = handler.exec.command ?? [];
    const outcome = await execInContainer(target.cri, {
      containerId: target.containerId,
      command,
      timeoutMs: 0,
      signal,
    });
    if (outcome.kind === "exited" && outcome.exitCode === 0) return undefined;
    const [error, output] =
      outcome.kind === "exited"
        ? [`command '${command.join(" ")}' exited with ${outcome.exitCode}: ${outcome.output}`, outcome.output]
        : [outcome.message, ""];
    return `Exec lifecycle hook ([${command.join(" ")}]) ${about}: ${error}, message: ${goQuote(output)}`;
  }
  if (handler.httpGet) {
    const failed = await callHttp(handler.httpGet, target);
    return failed === undefined
      ? undefined
      : `HTTP lifecycle hook (${handler.httpGet.path ?? ""}) ${about}: ${failed}, message: ${goQuote("")}`;
  }
  if (handler.sleep) {
    await delay(clock, handler.sleep.seconds * 1000, signal);
    return undefined;
  }
  return "Cannot run handler: invalid handler";
}

/** Any answer is well: a hook only tells. */
async function callHttp(
  { scheme = "HTTP", host, port, path = "", httpHeaders = [] }: NonNullable<DeepReadonly<LifecycleHandler>["httpGet"]>,
  { container, podIP, signal }: HookTarget,
): Promise<string | undefined> {
  const target = host || podIP;
  try {
    const number = port === "" ? 80 : resolvePort(port, container);
    const url = new URL(
      `${scheme.toLowerCase()}://${joinHostPort(target, number)}${path.startsWith("/") ? "" : "/"}${path}`,
    );
    try {
      await get(url, { headers: httpHeaders, signal: AbortSignal.any([signal, AbortSignal.timeout(answerMsMax)]) });
      return undefined;
    } catch (error) {
      // From the socket, or the time was up.
      return `Get ${goQuote(url.href)}: ${printSocketError(error as NodeJS.ErrnoException, joinHostPort(target, number))}`;
    }
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
