/**
 * What a node can be told: upstream's KubeletConfiguration (kubelet.config.k8s.io/v1beta1), under its names and with its defaults.
 * Durations are milliseconds here; files and `configz` have Go's texts for them. Settings of parts that don't exist here (iptables
 * bits, client-side rate limits) are kept, so that a file made for the original is understood, and change nothing.
 */

export interface KubeletConfiguration {
  enableServer: boolean;
  /** Folder of static pods, or a single file. */
  staticPodPath: string;
  /** "": a folder of this node's own (upstream: /var/log/pods), which the node fills in. */
  podLogsDir: string;
  syncFrequency: number;
  fileCheckFrequency: number;
  httpCheckFrequency: number;
  staticPodURL: string;
  staticPodURLHeader: Record<string, string[]>;
  address: string;
  port: number;
  /** 0: none. */
  readOnlyPort: number;
  tlsCertFile: string;
  tlsPrivateKeyFile: string;
  tlsCipherSuites: string[];
  tlsCurvePreferences: number[];
  tlsMinVersion: string;
  rotateCertificates: boolean;
  serverTLSBootstrap: boolean;
  authentication: KubeletAuthentication;
  authorization: KubeletAuthorization;
  registryPullQPS: number;
  registryBurst: number;
  imagePullCredentialsVerificationPolicy:
    | "NeverVerify"
    | "NeverVerifyPreloadedImages"
    | "NeverVerifyAllowlistedImages"
    | "AlwaysVerify";
  preloadedImagesVerificationAllowlist: string[];
  eventRecordQPS: number;
  eventBurst: number;
  enableDebuggingHandlers: boolean;
  enableContentionProfiling: boolean;
  /** 0: none. */
  healthzPort: number;
  healthzBindAddress: string;
  oomScoreAdj: number;
  clusterDomain: string;
  clusterDNS: string[];
  streamingConnectionIdleTimeout: number;
  nodeStatusUpdateFrequency: number;
  nodeStatusReportFrequency: number;
  nodeLeaseDurationSeconds: number;
  imageMinimumGCAge: number;
  /** 0: no limit. */
  imageMaximumGCAge: number;
  imageGCHighThresholdPercent: number;
  imageGCLowThresholdPercent: number;
  volumeStatsAggPeriod: number;
  kubeletCgroups: string;
  systemCgroups: string;
  cgroupRoot: string;
  cgroupsPerQOS: boolean;
  cgroupDriver: string;
  cpuManagerPolicy: string;
  /** Undefined: false with cgroup v2, true with v1. */
  singleProcessOOMKill: boolean | undefined;
  cpuManagerPolicyOptions: Record<string, string>;
  cpuManagerReconcilePeriod: number;
  memoryManagerPolicy: string;
  topologyManagerPolicy: string;
  topologyManagerScope: string;
  topologyManagerPolicyOptions: Record<string, string>;
  qosReserved: Record<string, string>;
  runtimeRequestTimeout: number;
  hairpinMode: string;
  maxPods: number;
  podCIDR: string;
  /** -1: no limit. */
  podPidsLimit: number;
  resolvConf: string;
  runOnce: boolean;
  cpuCFSQuota: boolean;
  cpuCFSQuotaPeriod: number;
  /** -1: all. */
  nodeStatusMaxImages: number;
  maxOpenFiles: number;
  contentType: string;
  kubeAPIQPS: number;
  kubeAPIBurst: number;
  serializeImagePulls: boolean;
  /** Undefined: no limit. */
  maxParallelImagePulls: number | undefined;
  evictionHard: Record<string, string>;
  evictionSoft: Record<string, string>;
  evictionSoftGracePeriod: Record<string, string>;
  evictionPressureTransitionPeriod: number;
  evictionMaxPodGracePeriod: number;
  evictionMinimumReclaim: Record<string, string>;
  mergeDefaultEvictionSettings: boolean;
  podsPerCore: number;
  enableControllerAttachDetach: boolean;
  protectKernelDefaults: boolean;
  makeIPTablesUtilChains: boolean;
  iptablesMasqueradeBit: number;
  iptablesDropBit: number;
  featureGates: Record<string, boolean>;
  failSwapOn: boolean;
  memorySwap: { swapBehavior: string };
  containerLogMaxSize: string;
  containerLogMaxFiles: number;
  containerLogMaxWorkers: number;
  containerLogMonitorInterval: number;
  configMapAndSecretChangeDetectionStrategy: string;
  systemReserved: Record<string, string>;
  kubeReserved: Record<string, string>;
  reservedSystemCPUs: string;
  showHiddenMetricsForVersion: string;
  systemReservedCgroup: string;
  kubeReservedCgroup: string;
  enforceNodeAllocatable: string[];
  allowedUnsafeSysctls: string[];
  volumePluginDir: string;
  providerID: string;
  kernelMemcgNotification: boolean;
  logging: Record<string, unknown>;
  enableSystemLogHandler: boolean;
  enableSystemLogQuery: boolean;
  shutdownGracePeriod: number;
  shutdownGracePeriodCriticalPods: number;
  shutdownGracePeriodByPodPriority: { priority: number; shutdownGracePeriodSeconds: number }[];
  crashLoopBackOff: { maxContainerRestartPeriod: number };
  reservedMemory: { numaNode: number; limits: Record<string, string> }[];
  enableProfilingHandler: boolean;
  enableDebugFlagsHandler: boolean;
  seccompDefault: boolean;
  memoryThrottlingFactor: number;
  memoryReservationPolicy: string;
  registerWithTaints: { key: string; value?: string; effect: string; timeAdded?: string }[];
  registerNode: boolean;
  tracing: Record<string, unknown> | undefined;
  localStorageCapacityIsolation: boolean;
  /** "": a private containerd. Upstream's default is containerd's usual socket. */
  containerRuntimeEndpoint: string;
  imageServiceEndpoint: string;
  failCgroupV1: boolean;
  userNamespaces: { idsPerPod?: number | undefined } | undefined;
}

export interface KubeletAuthentication {
  x509: { clientCAFile: string };
  webhook: { enabled: boolean; cacheTTL: number };
  anonymous: { enabled: boolean };
}

export interface KubeletAuthorization {
  mode: "AlwaysAllow" | "Webhook";
  webhook: { cacheAuthorizedTTL: number; cacheUnauthorizedTTL: number };
}

const second = 1000;
const minute = 60 * second;

export const defaultEvictionHard = (): Record<string, string> => ({
  "memory.available": "100Mi",
  "nodefs.available": "10%",
  "nodefs.inodesFree": "5%",
  "imagefs.available": "15%",
  "imagefs.inodesFree": "5%",
});

/** Upstream's, with the exceptions that the fields tell. A fresh object each time. */
export const defaultConfiguration = (): KubeletConfiguration => ({
  enableServer: true,
  staticPodPath: "",
  podLogsDir: "",
  syncFrequency: minute,
  fileCheckFrequency: 20 * second,
  httpCheckFrequency: 20 * second,
  staticPodURL: "",
  staticPodURLHeader: {},
  address: "0.0.0.0",
  port: 10250,
  readOnlyPort: 0,
  tlsCertFile: "",
  tlsPrivateKeyFile: "",
  tlsCipherSuites: [],
  tlsCurvePreferences: [],
  tlsMinVersion: "",
  rotateCertificates: false,
  serverTLSBootstrap: false,
  authentication: {
    x509: { clientCAFile: "" },
    webhook: { enabled: true, cacheTTL: 2 * minute },
    anonymous: { enabled: false },
  },
  authorization: {
    mode: "Webhook",
    webhook: { cacheAuthorizedTTL: 5 * minute, cacheUnauthorizedTTL: 30 * second },
  },
  registryPullQPS: 5,
  registryBurst: 10,
  imagePullCredentialsVerificationPolicy: "NeverVerifyPreloadedImages",
  preloadedImagesVerificationAllowlist: [],
  eventRecordQPS: 50,
  eventBurst: 100,
  enableDebuggingHandlers: true,
  enableContentionProfiling: false,
  healthzPort: 10248,
  healthzBindAddress: "127.0.0.1",
  oomScoreAdj: -999,
  clusterDomain: "",
  clusterDNS: [],
  streamingConnectionIdleTimeout: 240 * minute,
  nodeStatusUpdateFrequency: 10 * second,
  nodeStatusReportFrequency: 5 * minute,
  nodeLeaseDurationSeconds: 40,
  imageMinimumGCAge: 2 * minute,
  imageMaximumGCAge: 0,
  imageGCHighThresholdPercent: 85,
  imageGCLowThresholdPercent: 80,
  volumeStatsAggPeriod: minute,
  kubeletCgroups: "",
  systemCgroups: "",
  cgroupRoot: "",
  cgroupsPerQOS: true,
  cgroupDriver: "cgroupfs",
  cpuManagerPolicy: "none",
  singleProcessOOMKill: undefined,
  cpuManagerPolicyOptions: {},
  cpuManagerReconcilePeriod: 10 * second,
  memoryManagerPolicy: "None",
  topologyManagerPolicy: "none",
  topologyManagerScope: "container",
  topologyManagerPolicyOptions: {},
  qosReserved: {},
  runtimeRequestTimeout: 2 * minute,
  hairpinMode: "promiscuous-bridge",
  maxPods: 110,
  podCIDR: "",
  podPidsLimit: -1,
  resolvConf: "/etc/resolv.conf",
  runOnce: false,
  cpuCFSQuota: true,
  cpuCFSQuotaPeriod: 100,
  nodeStatusMaxImages: 50,
  maxOpenFiles: 1_000_000,
  contentType: "application/vnd.kubernetes.protobuf",
  kubeAPIQPS: 50,
  kubeAPIBurst: 100,
  serializeImagePulls: true,
  maxParallelImagePulls: undefined,
  evictionHard: defaultEvictionHard(),
  evictionSoft: {},
  evictionSoftGracePeriod: {},
  evictionPressureTransitionPeriod: 5 * minute,
  evictionMaxPodGracePeriod: 0,
  evictionMinimumReclaim: {},
  mergeDefaultEvictionSettings: false,
  podsPerCore: 0,
  enableControllerAttachDetach: true,
  protectKernelDefaults: false,
  makeIPTablesUtilChains: true,
  iptablesMasqueradeBit: 14,
  iptablesDropBit: 15,
  featureGates: {},
  failSwapOn: true,
  memorySwap: { swapBehavior: "" },
  containerLogMaxSize: "10Mi",
  containerLogMaxFiles: 5,
  containerLogMaxWorkers: 1,
  containerLogMonitorInterval: 10 * second,
  configMapAndSecretChangeDetectionStrategy: "Watch",
  systemReserved: {},
  kubeReserved: {},
  reservedSystemCPUs: "",
  showHiddenMetricsForVersion: "",
  systemReservedCgroup: "",
  kubeReservedCgroup: "",
  enforceNodeAllocatable: ["pods"],
  allowedUnsafeSysctls: [],
  volumePluginDir: "/usr/libexec/kubernetes/kubelet-plugins/volume/exec/",
  providerID: "",
  kernelMemcgNotification: false,
  logging: {
    format: "text",
    flushFrequency: "5s",
    verbosity: 0,
    options: { text: { infoBufferSize: "0" }, json: { infoBufferSize: "0" } },
  },
  enableSystemLogHandler: true,
  enableSystemLogQuery: false,
  shutdownGracePeriod: 0,
  shutdownGracePeriodCriticalPods: 0,
  shutdownGracePeriodByPodPriority: [],
  crashLoopBackOff: { maxContainerRestartPeriod: 5 * minute },
  reservedMemory: [],
  enableProfilingHandler: true,
  enableDebugFlagsHandler: true,
  seccompDefault: false,
  memoryThrottlingFactor: 0.9,
  memoryReservationPolicy: "None",
  registerWithTaints: [],
  registerNode: true,
  tracing: undefined,
  localStorageCapacityIsolation: true,
  containerRuntimeEndpoint: "",
  imageServiceEndpoint: "",
  failCgroupV1: false,
  userNamespaces: undefined,
});
