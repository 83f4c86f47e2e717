/** Whether the node can hold a pod to its security context; upstream's admission handlers for sysctls, groups and AppArmor. */
import { existsSync, readFileSync } from "node:fs";
import type { Refusal } from "../core/admission.ts";
import { forbiddenSysctl } from "../core/sysctl.ts";
import { allContainers, type PodView } from "../core/types.ts";
import type { NodeFacts } from "./context.ts";

export function refuseSecurity(
  pod: PodView,
  { allowedSysctls, abilities, hasAppArmor = machineHasAppArmor }: SecurityFacts,
): Refusal | undefined {
  const sysctl = forbiddenSysctl(pod, allowedSysctls);
  if (sysctl) return { reason: "SysctlForbidden", message: `forbidden sysctl: ${sysctl}` };
  const { securityContext } = pod.spec ?? {};
  if (securityContext?.supplementalGroupsPolicy === "Strict" && !abilities().features?.supplementalGroupsPolicy)
    return {
      reason: "SupplementalGroupsPolicyNotSupported",
      message: "SupplementalGroupsPolicy=Strict is not supported in this node",
    };
  const profiles = [securityContext, ...allContainers(pod).map((container) => container.securityContext)].flatMap(
    (each) => each?.appArmorProfile ?? [],
  );
  if (profiles.some(({ type }) => type !== "Unconfined") && !hasAppArmor())
    return { reason: "AppArmor", message: "Cannot enforce AppArmor: AppArmor is not enabled on the host" };
  return undefined;
}

type SecurityFacts = Pick<NodeFacts, "allowedSysctls" | "abilities"> & { hasAppArmor?: () => boolean };

const enabledFile = "/sys/module/apparmor/parameters/enabled";
const machineHasAppArmor = (): boolean =>
  existsSync("/sys/kernel/security/apparmor") &&
  existsSync(enabledFile) &&
  readFileSync(enabledFile, "utf8")[0] === "Y";
