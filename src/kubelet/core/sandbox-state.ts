/** Which sandbox a pod has, and whether it still serves. */
import { isHostNetwork, type PodRuntime, type PodView, type RuntimeSandbox } from "./types.ts";

export interface SandboxState {
  /** The newest one. */
  readonly sandbox: RuntimeSandbox | undefined;
  /** It can't be used: not ready, not the only one, another network, no address. */
  readonly wrong: boolean;
  /** Attempt number of the next one. */
  readonly attempt: number;
  /** There was one, so the pod's containers are gone with it. */
  readonly replaces: boolean;
}

export function currentSandbox(pod: PodView, { sandboxes }: PodRuntime): SandboxState {
  const sandbox = sandboxes[0];
  if (!sandbox) return { sandbox, wrong: false, attempt: 0, replaces: false };
  const ready = sandboxes.filter((one) => one.ready).length;
  const wrong =
    ready > 1 ||
    !sandbox.ready ||
    sandbox.hostNetwork !== isHostNetwork(pod) ||
    (!sandbox.hostNetwork && sandbox.ips.length === 0);
  return { sandbox, wrong, attempt: sandbox.attempt + 1, replaces: sandbox.hostNetwork === isHostNetwork(pod) };
}
