/**
 * The Pod Security Standards: what each level forbids, since which minor version, in upstream's words. Pure.
 * Checks are listed in the order of upstream's names, which is the order of its messages.
 */
import type {
  Container,
  EphemeralContainer,
  LifecycleHandler,
  ObjectMeta,
  PodSecurityContext,
  PodSpec,
  Probe,
  SecurityContext,
  SELinuxOptions,
  Volume,
} from "#api";
import type { DeepReadonly } from "#machinery";
import type { LevelVersion } from "./policy.ts";

export interface Violation {
  readonly reason: string;
  readonly detail: string;
}

export interface CheckedPod {
  readonly metadata: DeepReadonly<ObjectMeta> | undefined;
  readonly spec: DeepReadonly<PodSpec>;
}

/** `minor`: of the version whose rules count. Undefined: nothing to say against it. */
type Check = (pod: CheckedPod, minor: number) => Violation | undefined;

interface Rule {
  readonly since: number;
  readonly check: Check;
  /** For the restricted level one of its own, that asks for more, stands in its place since this minor version. */
  readonly replacedSince?: number;
}

/** What is wrong with a pod at this level; empty: it is allowed. */
export function violations(pod: CheckedPod, { level, minor }: LevelVersion): Violation[] {
  if (level === "privileged") return [];
  const strict = level === "restricted";
  const rules = baseline.filter(
    ({ since, replacedSince }) => since <= minor && !(strict && replacedSince !== undefined && replacedSince <= minor),
  );
  if (strict) rules.push(...restricted.filter(({ since }) => since <= minor));
  return rules.flatMap(({ check }) => check(pod, minor) ?? []);
}

export const printReasons = (found: readonly Violation[]): string => found.map(({ reason }) => reason).join(", ");

export const printDetails = (found: readonly Violation[]): string =>
  found.map(({ reason, detail }) => (detail === "" ? reason : `${reason} (${detail})`)).join(", ");

const baseline: readonly Rule[] = [
  { since: 0, check: appArmor },
  { since: 0, check: capabilitiesBaseline, replacedSince: 22 },
  { since: 0, check: hostNamespaces },
  { since: 0, check: hostPaths, replacedSince: 0 },
  { since: 0, check: hostPorts },
  { since: 34, check: hostsOfProbes },
  { since: 0, check: privileged },
  // Since 1.35 a user namespace makes it harmless, except for the restricted level.
  {
    since: 0,
    check: (pod, minor) => (minor >= 35 && inUserNamespace(pod) ? undefined : procMount(pod)),
    replacedSince: 35,
  },
  { since: 0, check: seLinux },
  { since: 0, check: (pod, minor) => (minor >= 19 ? seccompFields(pod) : seccompAnnotations(pod)), replacedSince: 19 },
  { since: 0, check: sysctls },
  { since: 0, check: windowsHostProcess },
];

const restricted: readonly Rule[] = [
  { since: 8, check: (pod, minor) => (exemptWindows(pod, minor) ? undefined : privilegeEscalation(pod)) },
  { since: 22, check: (pod, minor) => (exemptWindows(pod, minor) ? undefined : capabilitiesRestricted(pod)) },
  { since: 35, check: (pod) => procMount(pod) },
  { since: 0, check: volumeTypes },
  { since: 0, check: (pod, minor) => (minor >= 35 && inUserNamespace(pod) ? undefined : runAsNonRoot(pod)) },
  { since: 23, check: (pod, minor) => (minor >= 35 && inUserNamespace(pod) ? undefined : runAsUser(pod)) },
  { since: 19, check: (pod, minor) => (exemptWindows(pod, minor) ? undefined : seccompRestricted(pod)) },
];

const inUserNamespace = ({ spec }: CheckedPod): boolean => spec.hostUsers === false;
const exemptWindows = ({ spec }: CheckedPod, minor: number): boolean => minor >= 25 && spec.os?.name === "windows";

/** Types of the API make everything of a debug container optional; validation has seen to its name. */
type AnyContainer = DeepReadonly<Container | (EphemeralContainer & { name: string })>;

const containersOf = ({ spec }: CheckedPod): readonly AnyContainer[] => [
  ...(spec.initContainers ?? []),
  ...(spec.containers ?? []),
  ...((spec.ephemeralContainers ?? []) as readonly AnyContainer[]),
];

const plural = (one: string, many: string, count: number): string => (count === 1 ? one : many);
const quoted = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(", ");
const named = (names: readonly string[]): string =>
  `${plural("container", "containers", names.length)} ${quoted(names)}`;
const sorted = (values: Iterable<string>): string[] => [...new Set(values)].sort();

/** Names of containers for which `values` finds something, and all it found. */
function findBad(pod: CheckedPod, values: (container: AnyContainer) => readonly string[]) {
  const names: string[] = [];
  const found: string[] = [];
  for (const container of containersOf(pod)) {
    const bad = values(container);
    if (bad.length > 0) names.push(container.name);
    found.push(...bad);
  }
  return { names, found: sorted(found) };
}

/** The pod itself and its containers, as far as `bad` holds for their security context. */
function badSetters(
  pod: CheckedPod,
  bad: (context: DeepReadonly<PodSecurityContext & SecurityContext>) => readonly string[],
): { setters: string[]; found: string[] } {
  const own = pod.spec.securityContext ? bad(pod.spec.securityContext as PodSecurityContext) : [];
  const { names, found } = findBad(pod, ({ securityContext }) =>
    securityContext ? bad(securityContext as SecurityContext) : [],
  );
  const setters = [...(own.length > 0 ? ["pod"] : []), ...(names.length > 0 ? [named(names)] : [])];
  return { setters, found: sorted([...own, ...found]) };
}

function appArmor(pod: CheckedPod): Violation | undefined {
  const { setters, found } = badSetters(pod, ({ appArmorProfile }) =>
    appArmorProfile === undefined || ["RuntimeDefault", "Localhost"].includes(appArmorProfile.type)
      ? []
      : [appArmorProfile.type],
  );
  const annotations = Object.entries(pod.metadata?.annotations ?? {})
    .filter(
      ([key, value]) =>
        key.startsWith("container.apparmor.security.beta.kubernetes.io/") &&
        value !== "" &&
        value !== "runtime/default" &&
        !value.startsWith("localhost/"),
    )
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .sort();
  if (annotations.length > 0) setters.push(plural("annotation", "annotations", annotations.length));
  if (setters.length === 0) return undefined;
  const values = [...found, ...annotations];
  return {
    reason: plural("forbidden AppArmor profile", "forbidden AppArmor profiles", values.length),
    detail: `${setters.join(" and ")} must not set AppArmor profile type to ${quoted(values)}`,
  };
}

const defaultCapabilities = new Set(
  "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_CHROOT".split(
    " ",
  ),
);

function capabilitiesBaseline(pod: CheckedPod): Violation | undefined {
  const { names, found } = findBad(pod, ({ securityContext }) =>
    (securityContext?.capabilities?.add ?? []).filter((name) => !defaultCapabilities.has(name)),
  );
  if (names.length === 0) return undefined;
  return {
    reason: "non-default capabilities",
    detail: `${named(names)} must not include ${quoted(found)} in securityContext.capabilities.add`,
  };
}

function capabilitiesRestricted(pod: CheckedPod): Violation | undefined {
  const keeping = containersOf(pod)
    .filter(({ securityContext }) => !securityContext?.capabilities?.drop?.includes("ALL"))
    .map(({ name }) => name);
  const { names, found } = findBad(pod, ({ securityContext }) =>
    (securityContext?.capabilities?.add ?? []).filter((name) => name !== "NET_BIND_SERVICE"),
  );
  const details = [
    ...(keeping.length > 0 ? [`${named(keeping)} must set securityContext.capabilities.drop=["ALL"]`] : []),
    ...(names.length > 0
      ? [`${named(names)} must not include ${quoted(found)} in securityContext.capabilities.add`]
      : []),
  ];
  return details.length === 0 ? undefined : { reason: "unrestricted capabilities", detail: details.join("; ") };
}

function hostNamespaces({ spec }: CheckedPod): Violation | undefined {
  const names = (["hostNetwork", "hostPID", "hostIPC"] as const).filter((name) => spec[name] === true);
  if (names.length === 0) return undefined;
  return { reason: "host namespaces", detail: names.map((name) => `${name}=true`).join(", ") };
}

function hostPaths({ spec }: CheckedPod): Violation | undefined {
  const names = (spec.volumes ?? []).filter(({ hostPath }) => hostPath !== undefined).map(({ name }) => name);
  if (names.length === 0) return undefined;
  return { reason: "hostPath volumes", detail: `${plural("volume", "volumes", names.length)} ${quoted(names)}` };
}

function hostPorts(pod: CheckedPod): Violation | undefined {
  const { names, found } = findBad(pod, ({ ports }) =>
    (ports ?? []).filter(({ hostPort }) => (hostPort ?? 0) !== 0).map(({ hostPort }) => String(hostPort)),
  );
  if (names.length === 0) return undefined;
  const what = plural("hostPort", "hostPorts", found.length);
  return {
    reason: "hostPort",
    detail: `${named(names)} ${plural("uses", "use", names.length)} ${what} ${found.join(", ")}`,
  };
}

function hostsOfProbes(pod: CheckedPod): Violation | undefined {
  const hostsOf = (handler: DeepReadonly<Probe | LifecycleHandler> | undefined): string[] =>
    [handler?.httpGet?.host, handler?.tcpSocket?.host].flatMap((host) => host || []);
  const { names, found } = findBad(pod, ({ livenessProbe, readinessProbe, startupProbe, lifecycle }) =>
    [livenessProbe, readinessProbe, startupProbe, lifecycle?.postStart, lifecycle?.preStop].flatMap(hostsOf),
  );
  if (names.length === 0) return undefined;
  const what = plural("probe or lifecycle host", "probe or lifecycle hosts", found.length);
  return {
    reason: "probe or lifecycle host",
    detail: `${named(sorted(names))} ${plural("uses", "use", names.length)} ${what} ${quoted(found)}`,
  };
}

function privileged(pod: CheckedPod): Violation | undefined {
  const { names } = findBad(pod, ({ securityContext }) => (securityContext?.privileged ? ["true"] : []));
  if (names.length === 0) return undefined;
  return { reason: "privileged", detail: `${named(names)} must not set securityContext.privileged=true` };
}

function procMount(pod: CheckedPod): Violation | undefined {
  const { names, found } = findBad(pod, ({ securityContext }) => {
    const type = securityContext?.procMount;
    return type === undefined || type === "Default" ? [] : [type];
  });
  if (names.length === 0) return undefined;
  return { reason: "procMount", detail: `${named(names)} must not set securityContext.procMount to ${quoted(found)}` };
}

const seLinuxTypes = ["", "container_t", "container_init_t", "container_kvm_t"];

function seLinux(pod: CheckedPod, minor: number): Violation | undefined {
  const types = minor >= 31 ? [...seLinuxTypes, "container_engine_t"] : seLinuxTypes;
  let user = false;
  let role = false;
  const bad = (options: DeepReadonly<SELinuxOptions> | undefined): string[] => {
    const wrong: string[] = [];
    if (options && !types.includes(options.type ?? "")) wrong.push(`type:${options.type}`);
    if (options?.user) wrong.push("user");
    if (options?.role) wrong.push("role");
    user ||= wrong.includes("user");
    role ||= wrong.includes("role");
    return wrong;
  };
  const { setters, found } = badSetters(pod, ({ seLinuxOptions }) => bad(seLinuxOptions));
  if (setters.length === 0) return undefined;
  const wrongTypes = found.filter((each) => each.startsWith("type:")).map((each) => each.slice("type:".length));
  // Upstream speaks of user and role only beside a type.
  const data =
    wrongTypes.length === 0
      ? []
      : [
          `${plural("type", "types", wrongTypes.length)} ${quoted(wrongTypes)}`,
          ...(user ? ["user may not be set"] : []),
          ...(role ? ["role may not be set"] : []),
        ];
  return {
    reason: "seLinuxOptions",
    detail: `${setters.join(" and ")} set forbidden securityContext.seLinuxOptions: ${data.join("; ")}`,
  };
}

function seccompAnnotations(pod: CheckedPod): Violation | undefined {
  const annotations = pod.metadata?.annotations ?? {};
  const keys = [
    "seccomp.security.alpha.kubernetes.io/pod",
    ...containersOf(pod).map(({ name }) => `container.seccomp.security.alpha.kubernetes.io/${name}`),
  ];
  const isGood = (value: string) =>
    value === "runtime/default" || value === "docker/default" || value.startsWith("localhost/");
  const forbidden = sorted(
    keys.flatMap((key) => {
      const value = annotations[key];
      return value === undefined || isGood(value) ? [] : [`${key}=${JSON.stringify(value)}`];
    }),
  );
  if (forbidden.length === 0) return undefined;
  const what = plural("annotation", "annotations", forbidden.length);
  return { reason: "seccompProfile", detail: `forbidden ${what} ${forbidden.join(", ")}` };
}

const isGoodSeccomp = (type: string): boolean => type === "Localhost" || type === "RuntimeDefault";

function seccompFields(pod: CheckedPod): Violation | undefined {
  const { setters, found } = badSetters(pod, ({ seccompProfile }) =>
    seccompProfile && !isGoodSeccomp(seccompProfile.type) ? [seccompProfile.type] : [],
  );
  if (setters.length === 0) return undefined;
  return {
    reason: "seccompProfile",
    detail: `${setters.join(" and ")} must not set securityContext.seccompProfile.type to ${quoted(found)}`,
  };
}

function seccompRestricted(pod: CheckedPod): Violation | undefined {
  const explicit = seccompFields(pod);
  if (explicit) return explicit;
  if (pod.spec.securityContext?.seccompProfile) return undefined;
  const names = containersOf(pod)
    .filter(({ securityContext }) => !securityContext?.seccompProfile)
    .map(({ name }) => name);
  if (names.length === 0) return undefined;
  return {
    reason: "seccompProfile",
    detail: `pod or ${named(names)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"`,
  };
}

const safeSysctls: readonly (readonly [since: number, ...names: string[]])[] = [
  [
    0,
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
  ],
  [27, "net.ipv4.ip_local_reserved_ports"],
  [
    29,
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
  ],
  [32, "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"],
];

function sysctls({ spec }: CheckedPod, minor: number): Violation | undefined {
  const isSafe = (name: string) => safeSysctls.some(([since, ...names]) => since <= minor && names.includes(name));
  const names = (spec.securityContext?.sysctls ?? []).map(({ name }) => name).filter((name) => !isSafe(name));
  return names.length === 0 ? undefined : { reason: "forbidden sysctls", detail: names.join(", ") };
}

function windowsHostProcess(pod: CheckedPod): Violation | undefined {
  const { setters } = badSetters(pod, ({ windowsOptions }) => (windowsOptions?.hostProcess ? ["true"] : []));
  if (setters.length === 0) return undefined;
  return {
    reason: "hostProcess",
    detail: `${setters.join(" and ")} must not set securityContext.windowsOptions.hostProcess=true`,
  };
}

function privilegeEscalation(pod: CheckedPod): Violation | undefined {
  const { names } = findBad(pod, ({ securityContext }) =>
    securityContext?.allowPrivilegeEscalation === false ? [] : ["true"],
  );
  if (names.length === 0) return undefined;
  return {
    reason: "allowPrivilegeEscalation != false",
    detail: `${named(names)} must set securityContext.allowPrivilegeEscalation=false`,
  };
}

const goodVolumes = "configMap csi downwardAPI emptyDir ephemeral persistentVolumeClaim projected secret".split(" ");
const badVolumes =
  "hostPath gcePersistentDisk awsElasticBlockStore gitRepo nfs iscsi glusterfs rbd flexVolume cinder cephfs flocker fc azureFile vsphereVolume quobyte azureDisk photonPersistentDisk portworxVolume scaleIO storageos".split(
    " ",
  );

function volumeTypes({ spec }: CheckedPod): Violation | undefined {
  const has = (volume: DeepReadonly<Volume>, types: readonly string[]) =>
    types.find((type) => (volume as Readonly<Record<string, unknown>>)[type] !== undefined);
  const bad = (spec.volumes ?? []).filter((volume) => has(volume, goodVolumes) === undefined);
  if (bad.length === 0) return undefined;
  const names = bad.map(({ name }) => name);
  const types = sorted(bad.map((volume) => has(volume, badVolumes) ?? "unknown"));
  const what = plural("restricted volume type", "restricted volume types", types.length);
  return {
    reason: "restricted volume types",
    detail: `${plural("volume", "volumes", names.length)} ${quoted(names)} ${plural("uses", "use", names.length)} ${what} ${quoted(types)}`,
  };
}

function runAsNonRoot(pod: CheckedPod): Violation | undefined {
  const reason = "runAsNonRoot != true";
  const { setters } = badSetters(pod, (context) => (context.runAsNonRoot === false ? ["false"] : []));
  if (setters.length > 0)
    return { reason, detail: `${setters.join(" and ")} must not set securityContext.runAsNonRoot=false` };
  if (pod.spec.securityContext?.runAsNonRoot === true) return undefined;
  const names = containersOf(pod)
    .filter(({ securityContext }) => securityContext?.runAsNonRoot === undefined)
    .map(({ name }) => name);
  if (names.length === 0) return undefined;
  return { reason, detail: `pod or ${named(names)} must set securityContext.runAsNonRoot=true` };
}

function runAsUser(pod: CheckedPod): Violation | undefined {
  const { setters } = badSetters(pod, (context) => (context.runAsUser === 0 ? ["0"] : []));
  if (setters.length === 0) return undefined;
  return { reason: "runAsUser=0", detail: `${setters.join(" and ")} must not set runAsUser=0` };
}
