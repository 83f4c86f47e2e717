/** Security settings of a pod and of its containers, as far as Linux knows them. */
import { isGroupId, isUserId } from "#machinery";
import type { Place } from "../place.ts";
import type {
  AppArmorProfile,
  PodSecurityContext,
  PodSpec,
  SeccompProfile,
  SecurityContext,
  Sysctl,
} from "../types.d.ts";
import type { PodCheck } from "./check.ts";
import { validateDescendingPath } from "./paths.ts";
import { validateWindowsOptions } from "./windows.ts";

function validateUser({ runAsUser, runAsGroup }: SecurityContext | PodSecurityContext, at: Place): void {
  if (runAsUser !== undefined) at.child("runAsUser").invalidEach(runAsUser, isUserId(runAsUser));
  if (runAsGroup !== undefined) at.child("runAsGroup").invalidEach(runAsGroup, isGroupId(runAsGroup));
}

const procMounts = ["Default", "Unmasked"];

export function validateContainerSecurity(context: SecurityContext, at: Place, check: PodCheck): void {
  validateUser(context, at);
  const { procMount, allowPrivilegeEscalation, privileged } = context;
  if (procMount !== undefined) {
    if (!procMounts.includes(procMount)) at.child("procMount").notSupported(procMount, procMounts);
    if (check.hostUsers && procMount === "Unmasked") {
      at.child("procMount").invalid(procMount, "`hostUsers` must be false to use `Unmasked`");
    }
  }
  if (context.seccompProfile) validateSeccomp(context.seccompProfile, at.child("seccompProfile"));
  if (allowPrivilegeEscalation === false) {
    if (privileged) at.invalid(context, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
    for (const capability of context.capabilities?.add ?? []) {
      if (capability !== "CAP_SYS_ADMIN") continue;
      at.invalid(context, "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
    }
  }
  if (context.windowsOptions) validateWindowsOptions(context.windowsOptions, at.child("windowsOptions"));
  if (context.appArmorProfile) validateAppArmor(context.appArmorProfile, at.child("appArmorProfile"));
}

const groupChangePolicies = ["Always", "OnRootMismatch"];
const supplementalPolicies = ["Merge", "Strict"];
const selinuxPolicies = ["MountOption", "Recursive"];

export function validatePodSecurity(context: PodSecurityContext, at: Place, check: PodCheck): void {
  const { fsGroup, fsGroupChangePolicy, supplementalGroupsPolicy, seLinuxChangePolicy } = context;
  if (fsGroup !== undefined) at.child("fsGroup").invalidEach(fsGroup, isGroupId(fsGroup));
  validateUser(context, at);
  context.supplementalGroups?.forEach((group, i) => {
    at.child("supplementalGroups").index(i).invalidEach(group, isGroupId(group));
  });
  validateSharedProcesses(check.spec, at);
  if (context.sysctls) validateSysctls(context.sysctls, at.child("sysctls"), check);
  const oneOf = (field: string, value: string | undefined, known: readonly string[]) => {
    if (value !== undefined && !known.includes(value)) at.child(field).notSupported(value, known);
  };
  oneOf("fsGroupChangePolicy", fsGroupChangePolicy, groupChangePolicies);
  if (context.seccompProfile) validateSeccomp(context.seccompProfile, at.child("seccompProfile"));
  if (context.windowsOptions) validateWindowsOptions(context.windowsOptions, at.child("windowsOptions"));
  if (context.appArmorProfile) validateAppArmor(context.appArmorProfile, at.child("appArmorProfile"));
  oneOf("supplementalGroupsPolicy", supplementalGroupsPolicy, supplementalPolicies);
  oneOf("seLinuxChangePolicy", seLinuxChangePolicy, selinuxPolicies);
}

/** Reported in the security context, where upstream keeps the field internally. */
function validateSharedProcesses({ shareProcessNamespace, hostPID }: PodSpec, at: Place): void {
  if (!shareProcessNamespace || !hostPID) return;
  at.child("shareProcessNamespace").invalid(true, "ShareProcessNamespace and HostPID cannot both be enabled");
}

const sysctlSegment = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
const sysctlPattern = `^(${sysctlSegment}[\\./])*${sysctlSegment}$`;
const sysctlFormat = new RegExp(sysctlPattern);
const sysctlBytesMax = 253;

function validateSysctls(sysctls: readonly Sysctl[], at: Place, { spec, tolerate }: PodCheck): void {
  const names = new Set<string>();
  sysctls.forEach(({ name = "" }, i) => {
    const place = at.index(i).child("name");
    if (name === "") place.required();
    else if (name.length > sysctlBytesMax || !sysctlFormat.test(name)) {
      place.invalid(name, `must have at most ${sysctlBytesMax} characters and match regex ${sysctlPattern}`);
    } else if (names.has(name)) place.duplicate(name);
    names.add(name);
    if (tolerate.hostSysctls) return;
    const namespace = namespaceOfSysctl(name);
    if (spec.hostNetwork && namespace === "net") place.invalid(name, "may not be specified when 'hostNetwork' is true");
    else if (spec.hostIPC && namespace === "ipc") place.invalid(name, "may not be specified when 'hostIPC' is true");
  });
}

const ipcSysctls = /^(kernel\.sem$|kernel\.shm|kernel\.msg|fs\.mqueue\.)/;

/** Of sysctls that every network or IPC namespace has its own value of. */
export function namespaceOfSysctl(name: string): "net" | "ipc" | undefined {
  const dotted = name.replaceAll("/", ".");
  if (dotted.startsWith("net.")) return "net";
  return ipcSysctls.test(dotted) ? "ipc" : undefined;
}

const profileTypes = ["Localhost", "RuntimeDefault", "Unconfined"];

function validateSeccomp(profile: SeccompProfile, at: Place): void {
  const { type = "", localhostProfile } = profile;
  if (type === "") at.child("type").required("type is required when seccompProfile is set");
  else if (!profileTypes.includes(type)) at.child("type").notSupported(type, profileTypes);
  const path = at.child("localhostProfile");
  if (type !== "Localhost") {
    if (localhostProfile !== undefined) path.invalid(profile, "can only be set when seccomp type is Localhost");
  } else if (localhostProfile === undefined) path.required("must be set when seccomp type is Localhost");
  else validateDescendingPath(localhostProfile, path);
}

/** PATH_MAX without the final zero. */
const profileBytesMax = 4095;

function validateAppArmor({ type = "", localhostProfile }: AppArmorProfile, at: Place): void {
  const place = at.child("localhostProfile");
  if (type === "Localhost") {
    if (localhostProfile === undefined) place.required("must be set when AppArmor type is Localhost");
    else {
      const trimmed = localhostProfile.trim();
      if (trimmed !== localhostProfile) place.invalid(localhostProfile, "must not be padded with whitespace");
      else if (trimmed === "") place.required("must be set when AppArmor type is Localhost");
      if (localhostProfile.length > profileBytesMax) place.tooLong(profileBytesMax);
    }
  } else if (type === "") at.child("type").required("type is required when appArmorProfile is set");
  else if (!profileTypes.includes(type)) at.child("type").notSupported(type, profileTypes);
  else if (localhostProfile !== undefined) {
    place.invalid(localhostProfile, "can only be set when AppArmor type is Localhost");
  }
}
