/** Upstream's flags that stand for fields of a KubeletConfiguration, and what their texts mean. */
import { durationProblem, parseDuration } from "#base";
import { ConfigurationError, goQuote, isLabelValue, isQualifiedName } from "#machinery";
import { defaultConfiguration, type KubeletConfiguration } from "./configuration.ts";
import { isDuration } from "./shape.ts";

/** By flag; a dot goes into a field. Fields whose flag has another form than their type's are in `special` below. */
export const configurationFlags: Readonly<Record<string, string>> = {
  "enable-server": "enableServer",
  "fail-swap-on": "failSwapOn",
  "pod-manifest-path": "staticPodPath",
  "sync-frequency": "syncFrequency",
  "file-check-frequency": "fileCheckFrequency",
  "http-check-frequency": "httpCheckFrequency",
  "manifest-url": "staticPodURL",
  "manifest-url-header": "staticPodURLHeader",
  address: "address",
  port: "port",
  "read-only-port": "readOnlyPort",
  "fail-cgroupv1": "failCgroupV1",
  "container-runtime-endpoint": "containerRuntimeEndpoint",
  "image-service-endpoint": "imageServiceEndpoint",
  "anonymous-auth": "authentication.anonymous.enabled",
  "authentication-token-webhook": "authentication.webhook.enabled",
  "authentication-token-webhook-cache-ttl": "authentication.webhook.cacheTTL",
  "client-ca-file": "authentication.x509.clientCAFile",
  "authorization-mode": "authorization.mode",
  "authorization-webhook-cache-authorized-ttl": "authorization.webhook.cacheAuthorizedTTL",
  "authorization-webhook-cache-unauthorized-ttl": "authorization.webhook.cacheUnauthorizedTTL",
  "tls-cert-file": "tlsCertFile",
  "tls-private-key-file": "tlsPrivateKeyFile",
  "rotate-server-certificates": "serverTLSBootstrap",
  "tls-cipher-suites": "tlsCipherSuites",
  "tls-min-version": "tlsMinVersion",
  "rotate-certificates": "rotateCertificates",
  "registry-qps": "registryPullQPS",
  "registry-burst": "registryBurst",
  "event-qps": "eventRecordQPS",
  "event-burst": "eventBurst",
  "enable-debugging-handlers": "enableDebuggingHandlers",
  "contention-profiling": "enableContentionProfiling",
  "healthz-port": "healthzPort",
  "healthz-bind-address": "healthzBindAddress",
  "oom-score-adj": "oomScoreAdj",
  "cluster-domain": "clusterDomain",
  "volume-plugin-dir": "volumePluginDir",
  "cluster-dns": "clusterDNS",
  "streaming-connection-idle-timeout": "streamingConnectionIdleTimeout",
  "node-status-update-frequency": "nodeStatusUpdateFrequency",
  "minimum-image-ttl-duration": "imageMinimumGCAge",
  "image-gc-high-threshold": "imageGCHighThresholdPercent",
  "image-gc-low-threshold": "imageGCLowThresholdPercent",
  "volume-stats-agg-period": "volumeStatsAggPeriod",
  "feature-gates": "featureGates",
  "kubelet-cgroups": "kubeletCgroups",
  "system-cgroups": "systemCgroups",
  "provider-id": "providerID",
  "cgroups-per-qos": "cgroupsPerQOS",
  "cgroup-driver": "cgroupDriver",
  "cgroup-root": "cgroupRoot",
  "cpu-manager-policy": "cpuManagerPolicy",
  "cpu-manager-policy-options": "cpuManagerPolicyOptions",
  "cpu-manager-reconcile-period": "cpuManagerReconcilePeriod",
  "qos-reserved": "qosReserved",
  "topology-manager-policy": "topologyManagerPolicy",
  "runtime-request-timeout": "runtimeRequestTimeout",
  "hairpin-mode": "hairpinMode",
  "max-pods": "maxPods",
  "pod-cidr": "podCIDR",
  "pod-max-pids": "podPidsLimit",
  "resolv-conf": "resolvConf",
  runonce: "runOnce",
  "cpu-cfs-quota": "cpuCFSQuota",
  "cpu-cfs-quota-period": "cpuCFSQuotaPeriod",
  "enable-controller-attach-detach": "enableControllerAttachDetach",
  "make-iptables-util-chains": "makeIPTablesUtilChains",
  "container-log-max-size": "containerLogMaxSize",
  "container-log-max-files": "containerLogMaxFiles",
  "allowed-unsafe-sysctls": "allowedUnsafeSysctls",
  "node-status-max-images": "nodeStatusMaxImages",
  "kernel-memcg-notification": "kernelMemcgNotification",
  "local-storage-capacity-isolation": "localStorageCapacityIsolation",
  "max-open-files": "maxOpenFiles",
  "kube-api-content-type": "contentType",
  "kube-api-qps": "kubeAPIQPS",
  "kube-api-burst": "kubeAPIBurst",
  "serialize-image-pulls": "serializeImagePulls",
  "eviction-hard": "evictionHard",
  "eviction-soft": "evictionSoft",
  "eviction-soft-grace-period": "evictionSoftGracePeriod",
  "eviction-pressure-transition-period": "evictionPressureTransitionPeriod",
  "eviction-max-pod-grace-period": "evictionMaxPodGracePeriod",
  "eviction-minimum-reclaim": "evictionMinimumReclaim",
  "pods-per-core": "podsPerCore",
  "protect-kernel-defaults": "protectKernelDefaults",
  "reserved-cpus": "reservedSystemCPUs",
  "topology-manager-scope": "topologyManagerScope",
  "topology-manager-policy-options": "topologyManagerPolicyOptions",
  "system-reserved": "systemReserved",
  "kube-reserved": "kubeReserved",
  "enforce-node-allocatable": "enforceNodeAllocatable",
  "system-reserved-cgroup": "systemReservedCgroup",
  "kube-reserved-cgroup": "kubeReservedCgroup",
  "memory-manager-policy": "memoryManagerPolicy",
  "reserved-memory": "reservedMemory",
  "register-node": "registerNode",
  "register-with-taints": "registerWithTaints",
  "seccomp-default": "seccompDefault",
};

type Json = Record<string, unknown>;

/** `given`: the texts of each flag, in order. Throws ConfigurationError. */
export function applyFlags(
  configuration: KubeletConfiguration,
  given: Readonly<Record<string, readonly string[]>>,
): void {
  const defaults = defaultConfiguration();
  for (const [flag, texts] of Object.entries(given)) {
    const path = configurationFlags[flag]?.split(".");
    if (!path || texts.length === 0) continue;
    const last = path.pop() ?? "";
    const within = (root: object) => path.reduce((at, name) => at[name] as Json, root as Json); // the table names objects
    const target = within(configuration);
    const read = special[flag] ?? readerOf(last, within(defaults)[last]);
    try {
      target[last] = read(texts, target[last]);
    } catch (error) {
      if (!(error instanceof FlagProblem)) throw error;
      throw new ConfigurationError(
        `failed to parse kubelet flag: invalid argument ${goQuote(error.text)} for "--${flag}" flag: ${error.message}`,
      );
    }
  }
}

/** Is its text `true` or `false`? */
export function isBooleanFlag(flag: string): boolean {
  const path = configurationFlags[flag]?.split(".") ?? [];
  return typeof path.reduce<unknown>((at, name) => (at as Json)[name], defaultConfiguration()) === "boolean";
}

class FlagProblem extends Error {
  readonly text: string;

  constructor(text: string, message: string) {
    super(message);
    this.text = text;
  }
}

/** A field's new value; `old` is what a file or a default says. */
type Reader = (texts: readonly string[], old: unknown) => unknown;

/** Separated by commas, and with an empty part nowhere. */
const parts = (texts: readonly string[]) => texts.flatMap((text) => text.split(",")).filter((text) => text !== "");

function readerOf(field: string, standard: unknown): Reader {
  const one =
    (read: (text: string) => unknown): Reader =>
    (texts) =>
      read(texts.at(-1) ?? "");
  if (isDuration(field))
    return one((text) => {
      const problem = durationProblem(text);
      if (problem) throw new FlagProblem(text, problem);
      return parseDuration(text);
    });
  if (typeof standard === "number") return one(readInteger);
  if (typeof standard === "boolean") return one(readBoolean);
  if (Array.isArray(standard)) return parts;
  return typeof standard === "object" ? pairs("=") : one((text) => text);
}

function readInteger(text: string): number {
  const fail = (why: string) => new FlagProblem(text, `strconv.ParseInt: parsing ${goQuote(text)}: ${why}`);
  if (!/^[+-]?\d+$/.test(text)) throw fail("invalid syntax");
  if (!Number.isSafeInteger(Number(text))) throw fail("value out of range");
  return Number(text);
}

const trueTexts = ["1", "t", "T", "true", "TRUE", "True"];
const falseTexts = ["0", "f", "F", "false", "FALSE", "False"];

function readBoolean(text: string): boolean {
  if (trueTexts.includes(text)) return true;
  if (falseTexts.includes(text)) return false;
  throw new FlagProblem(text, `strconv.ParseBool: parsing ${goQuote(text)}: invalid syntax`);
}

const pairs =
  (separator: "=" | "<"): Reader =>
  (texts) =>
    Object.fromEntries(
      parts(texts).map((text) => {
        const at = text.indexOf(separator);
        if (at < 0) throw new FlagProblem(text, `malformed pair, expect string${separator}string`);
        return [text.slice(0, at).trim(), text.slice(at + 1).trim()];
      }),
    );

const special: Readonly<Record<string, Reader>> = {
  "eviction-hard": pairs("<"),
  "eviction-soft": pairs("<"),
  "feature-gates": (texts, old) => {
    const gates = parts(texts).map((text) => {
      const [name = "", value] = text.split("=", 2).map((part) => part.trim());
      if (value === undefined) throw new FlagProblem(text, "malformed pair, expect string=bool");
      if (![...trueTexts, ...falseTexts].includes(value))
        throw new FlagProblem(
          text,
          `invalid value of ${name}: ${value}, err: strconv.ParseBool: parsing ${goQuote(value)}: invalid syntax`,
        );
      return [name, trueTexts.includes(value)] as const;
    });
    return { ...(old as Json), ...Object.fromEntries(gates) }; // a map of gates
  },
  /** `a:hello,b:again`. */
  "manifest-url-header": (texts) => {
    const headers: Record<string, string[]> = {};
    for (const text of parts(texts)) {
      const at = text.indexOf(":");
      if (at < 0) throw new FlagProblem(text, "malformed pair, expect string:string");
      const name = text.slice(0, at);
      headers[name] = [...(headers[name] ?? []), text.slice(at + 1)];
    }
    return headers;
  },
  /** `0:memory=1Gi,hugepages-1M=2Gi`, separated by semicolons. */
  "reserved-memory": (texts) =>
    texts
      .flatMap((text) => text.split(";"))
      .map((text) => {
        const [node = "", limits] = text.split(":", 2);
        if (limits === undefined || !/^\d+$/.test(node))
          throw new FlagProblem(
            text,
            `the reserved memory has incorrect format, expected numaNodeID:type=quantity[,type=quantity...], got ${text}`,
          );
        return { numaNode: Number(node), limits: pairs("=")([limits], undefined) };
      }),
  "register-with-taints": (texts) => {
    const seen = new Set<string>();
    return parts(texts).map((text) => {
      const [, key = "", value = "", effect = ""] = /^([^=:]+)(?:=([^=:]*))?:([^:]+)$/.exec(text) ?? [];
      const names = [...isQualifiedName(key), ...isLabelValue(value)];
      if (key === "" || effect === "") throw new FlagProblem(text, `invalid taint spec: ${text}`);
      if (!["NoSchedule", "PreferNoSchedule", "NoExecute"].includes(effect))
        throw new FlagProblem(text, `invalid taint effect: ${effect}, unsupported taint effect`);
      if (names.length > 0) throw new FlagProblem(text, `invalid taint spec: ${text}, ${names.join("; ")}`);
      if (seen.has(`${key}:${effect}`))
        throw new FlagProblem(
          text,
          `duplicated taints with the same key and effect: {${key} ${value} ${effect} <nil>}`,
        );
      seen.add(`${key}:${effect}`);
      return { key, ...(value ? { value } : {}), effect };
    });
  },
};
