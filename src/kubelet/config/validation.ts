/** What upstream refuses in a KubeletConfiguration, in its words and order. */
import { isAbsolute, normalize } from "node:path";
import { printDuration } from "#base";
import { goQuote, isLabelValue, isQualifiedName, quantitySign } from "#machinery";
import type { KubeletConfiguration } from "./configuration.ts";
import { isEnabled } from "./features.ts";

type Configuration = Readonly<KubeletConfiguration>;

const portMax = 65_535;
const idsUnit = 65_536;
const within = (value: number, min: number, max: number) => value >= min && value <= max;
const list = (values: readonly string[]) => `[${values.map(goQuote).join(" ")}]`;

/** Whole numbers that have bounds. */
const bounded: [keyof KubeletConfiguration, flag: string, min: number, max: number, said: string][] = [
  ["imageGCHighThresholdPercent", "image-gc-high-threshold", 0, 100, "between 0 and 100, inclusive"],
  ["imageGCLowThresholdPercent", "image-gc-low-threshold", 0, 100, "between 0 and 100, inclusive"],
];
const bits: typeof bounded = [
  ["iptablesDropBit", "iptables-drop-bit", 0, 31, "between 0 and 31, inclusive"],
  ["iptablesMasqueradeBit", "iptables-masquerade-bit", 0, 31, "between 0 and 31, inclusive"],
  ["kubeAPIBurst", "kube-api-burst", 0, Infinity, "not be a negative number"],
  ["kubeAPIQPS", "kube-api-qps", 0, Infinity, "not be a negative number"],
  ["nodeStatusMaxImages", "node-status-max-images", -1, Infinity, "be -1 or greater"],
  ["maxOpenFiles", "max-open-files", 0, Infinity, "not be a negative number"],
  ["maxPods", "max-pods", 0, Infinity, "not be a negative number"],
  ["oomScoreAdj", "oom-score-adj", -1000, 1000, "between -1000 and 1000, inclusive"],
  ["podsPerCore", "pods-per-core", 0, Infinity, "not be a negative number"],
  ["port", "port", 1, portMax, "between 1 and 65535, inclusive"],
  ["readOnlyPort", "read-only-port", 0, portMax, "between 0 and 65535, inclusive"],
  ["registryBurst", "registry-burst", 0, Infinity, "not be a negative number"],
  ["registryPullQPS", "registry-qps", 0, Infinity, "not be a negative number"],
];

const reservations = ["system-reserved", "kube-reserved"] as const;

/** Empty: it can be used. */
export function validateConfiguration(c: Configuration): string[] {
  const found: string[] = [];
  const invalid = (message: string) => void found.push(`invalid configuration: ${message}`);
  const refuseIf = (is: boolean, message: string) => {
    if (is) invalid(message);
  };
  const checkBounds = (table: typeof bounded) => {
    for (const [field, flag, min, max, said] of table)
      refuseIf(
        !within(c[field] as number, min, max), // the table names numbers
        `${field} (--${flag}) ${c[field]} must ${said.startsWith("between") ? `be ${said}` : said}`,
      );
  };
  const on = (gate: Parameters<typeof isEnabled>[1]) => isEnabled(c, gate);
  const age = printDuration;

  refuseIf(c.nodeLeaseDurationSeconds <= 0, "nodeLeaseDurationSeconds must be greater than 0");
  refuseIf(
    c.systemCgroups !== "" && c.cgroupRoot === "",
    "systemCgroups (--system-cgroups) was specified and cgroupRoot (--cgroup-root) was not specified",
  );
  refuseIf(c.eventBurst < 0, `eventBurst (--event-burst) ${c.eventBurst} must not be a negative number`);
  refuseIf(c.eventRecordQPS < 0, `eventRecordQPS (--event-qps) ${c.eventRecordQPS} must not be a negative number`);
  refuseIf(
    !within(c.healthzPort, 0, portMax),
    `healthzPort (--healthz-port) ${c.healthzPort} must be between 1 and 65535, inclusive`,
  );
  if (on("CustomCPUCFSQuotaPeriod"))
    refuseIf(
      !within(c.cpuCFSQuotaPeriod, 1, 1000),
      `cpuCFSQuotaPeriod (--cpu-cfs-quota-period) {${age(c.cpuCFSQuotaPeriod)}} must be between 1ms and 1sec, inclusive`,
    );
  else
    refuseIf(
      c.cpuCFSQuotaPeriod !== 100,
      `cpuCFSQuotaPeriod (--cpu-cfs-quota-period) {${age(c.cpuCFSQuotaPeriod)}} requires feature gate CustomCPUCFSQuotaPeriod`,
    );
  checkBounds(bounded);
  refuseIf(
    c.imageGCLowThresholdPercent >= c.imageGCHighThresholdPercent,
    `imageGCLowThresholdPercent (--image-gc-low-threshold) ${c.imageGCLowThresholdPercent} must be less than imageGCHighThresholdPercent (--image-gc-high-threshold) ${c.imageGCHighThresholdPercent}`,
  );
  refuseIf(c.imageMinimumGCAge < 0, `imageMinimumGCAge ${age(c.imageMinimumGCAge)} must not be negative`);
  refuseIf(c.imageMaximumGCAge < 0, `imageMaximumGCAge ${age(c.imageMaximumGCAge)} must not be negative`);
  refuseIf(
    c.imageMaximumGCAge > 0 && c.imageMaximumGCAge <= c.imageMinimumGCAge,
    `imageMaximumGCAge ${age(c.imageMaximumGCAge)} must be greater than imageMinimumGCAge ${age(c.imageMinimumGCAge)}`,
  );
  checkBounds(bits);
  const pulls = c.maxParallelImagePulls;
  refuseIf(pulls !== undefined && pulls < 1, `maxParallelImagePulls ${pulls} must be a positive number`);
  refuseIf(
    c.serializeImagePulls && pulls !== undefined && pulls > 1,
    "maxParallelImagePulls cannot be larger than 1 unless SerializeImagePulls (--serialize-image-pulls) is set to false",
  );
  refuseIf(
    c.serverTLSBootstrap && !on("RotateKubeletServerCertificate"),
    "serverTLSBootstrap true requires feature gate RotateKubeletServerCertificate",
  );
  refuseIf(c.runOnce, "runOnce (--runOnce) true, Runonce mode has been deprecated and should not be set");
  for (const { key, value = "", effect, timeAdded } of c.registerWithTaints) {
    const isWrong =
      isQualifiedName(key).length > 0 ||
      isLabelValue(value).length > 0 ||
      !["NoSchedule", "PreferNoSchedule", "NoExecute"].includes(effect);
    if (isWrong) found.push(`invalid taint: {${key} ${value} ${effect} ${timeAdded ?? "<nil>"}}`);
    refuseIf(timeAdded !== undefined, "taint.TimeAdded is not nil");
  }
  const policies = ["none", "best-effort", "restricted", "single-numa-node"];
  refuseIf(
    !policies.includes(c.topologyManagerPolicy),
    `topologyManagerPolicy (--topology-manager-policy) ${goQuote(c.topologyManagerPolicy)} must be one of: ${list(policies)}`,
  );
  refuseIf(
    !["container", "pod"].includes(c.topologyManagerScope),
    `topologyManagerScope (--topology-manager-scope) ${goQuote(c.topologyManagerScope)} must be one of: "container", or "pod"`,
  );
  for (const message of shutdownProblems(c)) invalid(message);
  const { swapBehavior } = c.memorySwap;
  refuseIf(
    !["", "NoSwap", "LimitedSwap"].includes(swapBehavior),
    `memorySwap.swapBehavior ${goQuote(swapBehavior)} must be one of: "", "LimitedSwap" or "NoSwap"`,
  );
  const restartMs = c.crashLoopBackOff.maxContainerRestartPeriod;
  if (on("KubeletCrashLoopBackOffMax"))
    refuseIf(
      !within(Math.trunc(restartMs), 1000, 300_000),
      `CrashLoopBackOff.MaxContainerRestartPeriod (got: ${restartMs / 1000} seconds) must be set between 1s and 300s`,
    );
  for (const message of enforcementProblems(c)) invalid(message);
  const hairpin = ["none", "hairpin-veth", "promiscuous-bridge"];
  refuseIf(
    !hairpin.includes(c.hairpinMode),
    `option ${goQuote(c.hairpinMode)} specified for hairpinMode (--hairpin-mode). Valid options are "none", "hairpin-veth" or "promiscuous-bridge"`,
  );
  const verification = ["NeverVerify", "NeverVerifyPreloadedImages", "NeverVerifyAllowlistedImages", "AlwaysVerify"];
  const verify = c.imagePullCredentialsVerificationPolicy;
  refuseIf(
    !verification.includes(verify),
    `option ${goQuote(verify)} specified for imagePullCredentialsVerificationPolicy. Valid options are "NeverVerify", "NeverVerifyPreloadedImages", "NeverVerifyAllowlistedImages" or "AlwaysVerify"`,
  );
  refuseIf(
    c.preloadedImagesVerificationAllowlist.length > 0 && verify !== "NeverVerifyAllowlistedImages",
    'can\'t set `preloadedImagesVerificationAllowlist` if `imagePullCredentialsVertificationPolicy` is not "NeverVerifyAllowlistedImages"',
  );
  if (c.reservedSystemCPUs !== "") {
    refuseIf(
      c.systemReservedCgroup !== "" || c.kubeReservedCgroup !== "",
      "can't use reservedSystemCPUs (--reserved-cpus) with systemReservedCgroup (--system-reserved-cgroup) or kubeReservedCgroup (--kube-reserved-cgroup)",
    );
    const wrong = c.reservedSystemCPUs.split(",").find((part) => !/^\d+(-\d+)?$/.test(part));
    refuseIf(
      wrong !== undefined,
      `unable to parse reservedSystemCPUs (--reserved-cpus) ${c.reservedSystemCPUs}, error: strconv.Atoi: parsing ${goQuote(wrong ?? "")}: invalid syntax`,
    );
  }
  for (const message of reservedMemoryProblems(c)) invalid(message);
  const ids = c.userNamespaces?.idsPerPod;
  if (ids !== undefined) {
    if (ids < idsUnit) invalid(`userNamespaces.idsPerPod must not be less than ${idsUnit}`);
    else if (ids % idsUnit !== 0) invalid(`userNamespaces.idsPerPod must be a multiple of ${idsUnit}`);
    else refuseIf(ids > 2 ** 32 - 1, `userNamespaces.idsPerPod must not be more than ${2 ** 32 - 1}`);
  }
  const format = c.logging.format;
  if (format !== "text" && format !== "json" && format !== "")
    found.push(`logging.format: Invalid value: ${goQuote(String(format))}: Unsupported log format`);
  refuseIf(
    !(c.memoryThrottlingFactor > 0 && c.memoryThrottlingFactor <= 1),
    `memoryThrottlingFactor ${c.memoryThrottlingFactor} must be greater than 0 and less than or equal to 1.0`,
  );
  refuseIf(
    c.memoryReservationPolicy === "TieredReservation" && !on("MemoryQoS"),
    'memoryReservationPolicy "TieredReservation" requires MemoryQoS feature gate to be enabled',
  );
  refuseIf(
    !["None", "TieredReservation"].includes(c.memoryReservationPolicy),
    `option ${goQuote(c.memoryReservationPolicy)} specified for memoryReservationPolicy. Valid options are "None" or "TieredReservation"`,
  );
  refuseIf(
    c.enableSystemLogQuery && !c.enableSystemLogHandler,
    "enableSystemLogHandler is required for enableSystemLogQuery",
  );
  refuseIf(c.containerLogMaxWorkers < 1, "containerLogMaxWorkers must be greater than or equal to 1");
  refuseIf(
    c.containerLogMonitorInterval < 3000,
    "containerLogMonitorInterval must be a positive time duration greater than or equal to 3s",
  );
  refuseIf(c.containerLogMaxFiles <= 1, "containerLogMaxFiles must be greater than 1");
  const logs = c.podLogsDir;
  if (logs !== "") {
    refuseIf(!isAbsolute(logs), `pod logs path ${goQuote(logs)} must be absolute path`);
    refuseIf(normalize(logs).replace(/(.)\/$/, "$1") !== logs, `pod logs path ${goQuote(logs)} must be normalized`);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the whole of ASCII is meant
    refuseIf(!/^[\x00-\x7f]*$/.test(logs), `pod logs path ${goQuote(logs)} mut contains ASCII characters only`);
  }
  return found;
}

function shutdownProblems(c: Configuration): string[] {
  const { shutdownGracePeriod: all, shutdownGracePeriodCriticalPods: critical } = c;
  const print = (ms: number) => `{${printDuration(ms)}}`;
  const tooShort = (ms: number) => ms < 0 || (ms > 0 && ms < 1000);
  const found: string[] = [];
  if (isEnabled(c, "GracefulNodeShutdown")) {
    if (critical > all)
      found.push(`shutdownGracePeriodCriticalPods ${print(critical)} must be <= shutdownGracePeriod ${print(all)}`);
    if (tooShort(all)) found.push(`shutdownGracePeriod ${print(all)} must be either zero or otherwise >= 1 sec`);
    if (tooShort(critical))
      found.push(`shutdownGracePeriodCriticalPods ${print(critical)} must be either zero or otherwise >= 1 sec`);
  } else if (all > 0 || critical > 0)
    found.push(
      "specifying shutdownGracePeriod or shutdownGracePeriodCriticalPods requires feature gate GracefulNodeShutdown",
    );
  if (c.shutdownGracePeriodByPodPriority.length === 0) return found;
  if (!isEnabled(c, "GracefulNodeShutdownBasedOnPodPriority"))
    found.push(
      "Specifying shutdownGracePeriodByPodPriority requires feature gate GracefulNodeShutdownBasedOnPodPriority",
    );
  else if (all > 0 || critical > 0)
    found.push("Cannot specify both shutdownGracePeriodByPodPriority and shutdownGracePeriod at the same time");
  return found;
}

function enforcementProblems(c: Configuration): string[] {
  const option = "enforceNodeAllocatable (--enforce-node-allocatable)";
  const given = c.enforceNodeAllocatable;
  const found: string[] = [];
  for (const name of reservations)
    if (given.includes(name) && given.includes(`${name}-compressible`))
      found.push(`both "${name}-compressible" and "${name}" cannot be specified together in ${option}`);
  const seen = new Set<string>();
  for (const value of given) {
    if (seen.has(value)) {
      found.push(`duplicated enforcements ${goQuote(value)} in ${option}`);
      continue;
    }
    seen.add(value);
    if (value === "none") {
      if (given.length > 1) found.push(`${option} may not contain additional enforcements when "none" is specified`);
      continue;
    }
    const reservation = reservations.find((name) => value === name || value === `${name}-compressible`);
    if (reservation !== undefined) {
      const field = reservation === "system-reserved" ? "systemReservedCgroup" : "kubeReservedCgroup";
      if (c[field] === "")
        found.push(
          `${field} (--${reservation}-cgroup) must be specified when "${reservation}" or "${reservation}-compressible" included in ${option}`,
        );
    } else if (value !== "pods") {
      found.push(
        `option ${goQuote(value)} specified for ${option}. Valid options are "pods", "system-reserved", "system-reserved-compressible", "kube-reserved", "kube-reserved-compressible" or "none"`,
      );
      continue;
    }
    if (!c.cgroupsPerQOS)
      found.push(`cgroupsPerQOS (--cgroups-per-qos) must be set to true when ${goQuote(value)} contained in ${option}`);
  }
  return found;
}

function reservedMemoryProblems({ reservedMemory }: Configuration): string[] {
  const seen = new Set<string>();
  return reservedMemory.flatMap(({ numaNode, limits }) =>
    Object.entries(limits).flatMap(([resource, quantity]) => {
      const found: string[] = [];
      if (resource !== "memory" && !resource.startsWith("hugepages-"))
        found.push(
          `the limit type ${goQuote(resource)} for NUMA node ${numaNode} is not supported, only [memory hugepages-<HugePageSize>] is accepted`,
        );
      if (quantitySign(quantity) === 0)
        found.push(`reserved memory may not be zero for NUMA node ${numaNode} and resource ${goQuote(resource)}`);
      const key = `${numaNode}/${resource}`;
      if (seen.has(key))
        found.push(
          `the reserved memory has a duplicate value for NUMA node ${numaNode} and resource ${goQuote(resource)}`,
        );
      seen.add(key);
      return found;
    }),
  );
}
