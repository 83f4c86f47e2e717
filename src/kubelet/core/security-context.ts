/** What a container may do, as the runtime is told. */
import type {
  LinuxContainerSecurityContext,
  LinuxSandboxSecurityContext,
  SecurityProfile,
  UserNamespace,
} from "../cri/types.d.ts";
import { namespaceOptions } from "./namespaces.ts";
import type { ContainerSpec, PodView } from "./types.ts";
import { effectiveUser, type ImageUser, supplementalGroups } from "./users.ts";

type Security = NonNullable<ContainerSpec["securityContext"]>;
type SeccompSpec = NonNullable<Security["seccompProfile"]>;
type AppArmorSpec = NonNullable<Security["appArmorProfile"]>;

/** Parts of /proc and /sys that containers don't see or can't write, unless procMount or privileges say otherwise. */
const maskedPaths = [
  "/proc/asound",
  "/proc/acpi",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/proc/interrupts",
  "/sys/firmware",
  "/sys/devices/virtual/powercap",
];
const readonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

export interface SecurityInput {
  /** Where Localhost profiles are. */
  readonly seccompRoot: string;
  /** Containers that name no profile get the runtime's. */
  readonly seccompDefault: boolean;
  /** Of this machine's processors: masked too. */
  readonly thermalPaths?: readonly string[];
  /** The pod's own; undefined: the host's. */
  readonly users?: UserNamespace | undefined;
}

export function containerSecurity(
  pod: PodView,
  container: ContainerSpec,
  input: SecurityInput & { imageUser: ImageUser; targetId?: string | undefined },
): LinuxContainerSecurityContext {
  const own = container.securityContext ?? {};
  const { runAsUser, runAsGroup } = effectiveUser(pod, container);
  const privileged = own.privileged === true;
  const groups = supplementalGroups(pod);
  const strict = pod.spec?.securityContext?.supplementalGroupsPolicy === "Strict";
  const { capabilities, seLinuxOptions = pod.spec?.securityContext?.seLinuxOptions } = own;
  const apparmor = own.appArmorProfile ?? pod.spec?.securityContext?.appArmorProfile;
  // A runtime opens the paths of a privileged container by itself.
  const open = own.procMount === "Unmasked" || privileged;
  return {
    namespaceOptions: namespaceOptions(pod, input),
    ...(capabilities
      ? {
          capabilities: {
            addCapabilities: [...(capabilities.add ?? [])],
            dropCapabilities: [...(capabilities.drop ?? [])],
          },
        }
      : {}),
    ...(privileged ? { privileged } : {}),
    ...(seLinuxOptions ? { selinuxOptions: { ...seLinuxOptions } } : {}),
    ...userOf(runAsUser, input.imageUser),
    ...(runAsGroup === undefined ? {} : { runAsGroup: { value: runAsGroup } }),
    ...(own.readOnlyRootFilesystem ? { readonlyRootfs: true } : {}),
    ...(groups.length > 0 ? { supplementalGroups: groups } : {}),
    ...(strict ? { supplementalGroupsPolicy: "Strict" as const } : {}),
    // A privileged container can't be kept from gaining privileges.
    noNewPrivs: own.allowPrivilegeEscalation === false && !privileged,
    maskedPaths: open ? [] : [...maskedPaths, ...(input.thermalPaths ?? [])],
    readonlyPaths: open ? [] : readonlyPaths,
    seccomp: seccompOf(own.seccompProfile ?? pod.spec?.securityContext?.seccompProfile, input),
    ...(apparmor ? appArmorOf(apparmor) : {}),
  };
}

/** A number if one is known; a group without a user needs the image's user spelled out. */
function userOf(runAsUser: number | undefined, { uid, name }: ImageUser): LinuxContainerSecurityContext {
  if (runAsUser !== undefined) return { runAsUser: { value: runAsUser } };
  if (uid !== undefined) return { runAsUser: { value: uid } };
  return name ? { runAsUsername: name } : {};
}

function seccompOf(profile: SeccompSpec | undefined, { seccompRoot, seccompDefault }: SecurityInput): SecurityProfile {
  if (!profile) return { profileType: seccompDefault ? "RuntimeDefault" : "Unconfined" };
  if (profile.type === "Localhost" && !profile.localhostProfile)
    throw new Error("localhostProfile must be set if seccompProfile type is Localhost.");
  return profileOf(profile, `${seccompRoot}/${profile.localhostProfile ?? ""}`);
}

/** Older runtimes know only the text. */
function appArmorOf({ type, localhostProfile }: AppArmorSpec): LinuxContainerSecurityContext {
  if (type === "Localhost" && !localhostProfile) throw new Error("missing localhost apparmor profile name");
  const text = { RuntimeDefault: "runtime/default", Unconfined: "unconfined" }[type];
  return {
    apparmor: profileOf({ type }, localhostProfile ?? ""),
    apparmorProfile: text ?? `localhost/${localhostProfile}`,
  };
}

const profileOf = ({ type }: { type?: string }, localhostRef: string): SecurityProfile =>
  type === "Localhost"
    ? { profileType: "Localhost", localhostRef }
    : { profileType: type === "RuntimeDefault" ? "RuntimeDefault" : "Unconfined" };

/** Of the sandbox: the pod's context; privileged if any container is. */
export function sandboxSecurity(pod: PodView, input: Pick<SecurityInput, "users">): LinuxSandboxSecurityContext {
  const whole = pod.spec?.securityContext;
  const groups = supplementalGroups(pod);
  const privileged = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])].some(
    ({ securityContext }) => securityContext?.privileged,
  );
  return {
    namespaceOptions: namespaceOptions(pod, input),
    ...(whole?.runAsUser === undefined ? {} : { runAsUser: { value: whole.runAsUser } }),
    // The runtime refuses a group without a user.
    ...(whole?.runAsGroup === undefined || whole.runAsUser === undefined
      ? {}
      : { runAsGroup: { value: whole.runAsGroup } }),
    ...(groups.length > 0 ? { supplementalGroups: groups } : {}),
    ...(whole?.supplementalGroupsPolicy === "Strict" ? { supplementalGroupsPolicy: "Strict" as const } : {}),
    ...(whole?.seLinuxOptions ? { selinuxOptions: { ...whole.seLinuxOptions } } : {}),
    ...(privileged ? { privileged } : {}),
    // The sandbox's own process is ours: the runtime's profile fits it whatever the pod asks for.
    seccomp: { profileType: "RuntimeDefault" },
  };
}
