/** Which namespaces of the kernel a container has to itself, shares with its pod, or with the host. */
import type { NamespaceOption } from "../cri/types.d.ts";
import type { PodView } from "./types.ts";

/** `targetId`: a debug container that sees the processes of this container. */
export function namespaceOptions({ spec }: PodView, targetId?: string): NamespaceOption {
  const pid = spec?.hostPID ? "NODE" : spec?.shareProcessNamespace ? "POD" : "CONTAINER";
  return {
    network: spec?.hostNetwork ? "NODE" : "POD",
    ipc: spec?.hostIPC ? "NODE" : "POD",
    ...(targetId && pid === "CONTAINER" ? { pid: "TARGET", targetId } : { pid }),
  };
}
