/** Which namespaces of the kernel a container has to itself, shares with its pod, or with the host. */
import type { NamespaceOption, UserNamespace } from "../cri/types.d.ts";
import type { PodView } from "./types.ts";

/** `targetId`: a debug container that sees the processes of this container. `users`: the pod's own user namespace. */
export function namespaceOptions(
  { spec }: PodView,
  { targetId, users }: { targetId?: string | undefined; users?: UserNamespace | undefined } = {},
): NamespaceOption {
  const pid = spec?.hostPID ? "NODE" : spec?.shareProcessNamespace ? "POD" : "CONTAINER";
  return {
    network: spec?.hostNetwork ? "NODE" : "POD",
    ipc: spec?.hostIPC ? "NODE" : "POD",
    ...(targetId && pid === "CONTAINER" ? { pid: "TARGET", targetId } : { pid }),
    usernsOptions: users ?? { mode: "NODE" },
  };
}
