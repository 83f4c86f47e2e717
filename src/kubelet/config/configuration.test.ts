import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ConfigurationError } from "#machinery";
import { defaultConfiguration, defaultEvictionHard, type KubeletConfiguration } from "./configuration.ts";
import { applyFlags } from "./flags.ts";
import { gateProblems } from "./gate-names.ts";
import { checkNodeLabels } from "./node-labels.ts";
import { printConfiguration, readConfiguration } from "./read.ts";
import { validateConfiguration } from "./validation.ts";

const head = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";

/** Reads these files from a folder of their own; `kubelet.yaml` is the configuration, `d/` the drop-ins. */
async function read(files: Record<string, string>, flags?: (c: KubeletConfiguration) => void) {
  const folder = await mkdtemp(join(tmpdir(), "kubelet-config-"));
  const warnings: string[] = [];
  try {
    for (const [name, text] of Object.entries(files)) {
      await mkdir(join(folder, name, ".."), { recursive: true });
      await writeFile(join(folder, name), text);
    }
    const configuration = await readConfiguration({
      file: "kubelet.yaml" in files ? join(folder, "kubelet.yaml") : undefined,
      dropIns: Object.keys(files).some((name) => name.startsWith("d/")) ? join(folder, "d") : undefined,
      ...(flags ? { flags } : {}),
      warn: (message) => warnings.push(message),
    });
    return { configuration, warnings, folder };
  } catch (error) {
    if (error instanceof Error) error.message = error.message.replaceAll(folder, "");
    throw error;
  } finally {
    await rm(folder, { recursive: true });
  }
}

const rejects = (files: Record<string, string>, message: string | RegExp) =>
  assert.rejects(read(files), (error) => {
    assert.ok(error instanceof ConfigurationError, String(error));
    if (typeof message === "string") assert.equal(error.message, message);
    else assert.match(error.message, message);
    return true;
  });

test("kubelet configuration: what a file doesn't say is the default; zero is as good as nothing for plain fields", async () => {
  assert.deepEqual((await read({ "kubelet.yaml": head })).configuration, defaultConfiguration());
  const text = `${head}maxPods: 0\nhealthzPort: 0\nsyncFrequency: 0s\nenforceNodeAllocatable: []\nevictionHard: {}\nclusterDomain: ""\nclusterDNS: null\n`;
  const { configuration } = await read({ "kubelet.yaml": text });
  const { maxPods, healthzPort, syncFrequency, enforceNodeAllocatable, evictionHard } = configuration;
  assert.deepEqual(
    { maxPods, healthzPort, syncFrequency, enforceNodeAllocatable, evictionHard },
    { maxPods: 110, healthzPort: 0, syncFrequency: 60_000, enforceNodeAllocatable: [], evictionHard: {} },
  );
});

test("kubelet configuration: durations, lists, structures, paths and what follows from others", async () => {
  const text = `${head}staticPodPath: manifests
nodeStatusUpdateFrequency: 4s
maxParallelImagePulls: 3
podPidsLimit: -7
authentication: {webhook: {cacheTTL: 1m30s}, x509: {clientCAFile: ca.crt}}
registerWithTaints: [{key: a, value: b, effect: NoSchedule}]
shutdownGracePeriodByPodPriority: [{priority: 10, shutdownGracePeriodSeconds: 5}]
evictionHard: {memory.available: 1Gi}
mergeDefaultEvictionSettings: true
logging: {verbosity: 3}
featureGates: {MemoryQoS: true}
`;
  const { configuration, folder } = await read({ "kubelet.yaml": text });
  assert.equal(configuration.staticPodPath, join(folder, "manifests"));
  assert.equal(configuration.nodeStatusReportFrequency, 4000);
  assert.equal(configuration.serializeImagePulls, false);
  assert.equal(configuration.podPidsLimit, -1);
  assert.deepEqual(configuration.authentication, {
    x509: { clientCAFile: join(folder, "ca.crt") },
    webhook: { enabled: true, cacheTTL: 90_000 },
    anonymous: { enabled: false },
  });
  assert.deepEqual(configuration.evictionHard, { ...defaultEvictionHard(), "memory.available": "1Gi" });
  assert.deepEqual(configuration.shutdownGracePeriodByPodPriority, [{ priority: 10, shutdownGracePeriodSeconds: 5 }]);
  assert.equal(configuration.logging.verbosity, 3);
  assert.equal(configuration.logging.format, "text");
});

test("kubelet configuration: unknown and repeated fields are warned of, wrong ones refused", async () => {
  const { warnings, configuration } = await read({ "kubelet.yaml": `${head}maxPod: 5\nmaxPods: 7\nmaxPods: 8\n` });
  assert.match(
    warnings.join(),
    /strict decoding error: yaml: unmarshal errors:\n {2}line 5: key "maxPods" already set in map, unknown field "maxPod"/,
  );
  assert.equal(configuration.maxPods, 8);
  const failed = "failed to load Kubelet config file /kubelet.yaml, error ";
  await rejects({ "kubelet.yaml": "" }, `${failed}kubelet config file "/kubelet.yaml" was empty`);
  await rejects(
    { "kubelet.yaml": `${head}maxPods: many\n` },
    `${failed}failed to decode: json: cannot unmarshal string into Go struct field KubeletConfiguration.maxPods of type int32`,
  );
  await rejects(
    { "kubelet.yaml": `${head}syncFrequency: soon\n` },
    `${failed}failed to decode: time: invalid duration "soon"`,
  );
  await rejects({ "kubelet.yaml": `${head}a: [\n` }, /failed to decode: yaml: line \d+/);
  await rejects(
    { "kubelet.yaml": "kind: Pod\napiVersion: v1\n" },
    /failed to decode: no kind "Pod" is registered for version "v1"/,
  );
  await rejects(
    { "kubelet.yaml": `${head}port: 70000\nfeatureGates: {Nope: true, NodeSwap: false}\n` },
    /^failed to validate kubelet configuration, error: \[cannot set feature gate NodeSwap to false, feature is locked to true, unrecognized feature gate: Nope\]$/,
  );
  await assert.rejects(readConfiguration({ file: "/nowhere/k.yaml", warn: () => undefined }), {
    message:
      'failed to load Kubelet config file /nowhere/k.yaml, error failed to read kubelet config file "/nowhere/k.yaml", error: open /nowhere/k.yaml: no such file or directory',
  });
});

test("kubelet configuration: drop-ins go before the file in order of their paths, flags before both", async () => {
  const files = {
    "kubelet.yaml": `${head}port: 9090\nreadOnlyPort: 10257\nclusterDNS: [192.168.1.10]\nfeatureGates: {MemoryQoS: true}\nmaxPods: 30\nauthentication: {anonymous: {enabled: true}, webhook: {cacheTTL: 3m}}\n`,
    "d/10-a.conf": `${head}port: 1\nmaxPods: 40\nauthentication: {webhook: {enabled: false}}\nevictionHard: {nodefs.available: 20%}\nreadOnlyPort: null\n`,
    "d/20-b/x.conf": `${head}port: 2\nclusterDNS: [192.168.1.1, 192.168.1.5]\nunknown: 1\n`,
    "d/20-b.conf": `${head}port: 3\n`,
    "d/99.yaml": "no YAML: [",
  };
  const { configuration } = await read(files, (c) =>
    applyFlags(c, { "max-pods": ["50"], "feature-gates": ["AllAlpha=false"], "eviction-hard": [] }),
  );
  const { port, maxPods, clusterDNS, featureGates, readOnlyPort, authentication, evictionHard } = configuration;
  // As paths are walked: a folder comes where its name does, and "20-b" is before "20-b.conf".
  assert.deepEqual(
    { port, maxPods, clusterDNS, featureGates, readOnlyPort },
    {
      port: 3,
      maxPods: 50,
      clusterDNS: ["192.168.1.1", "192.168.1.5"],
      featureGates: { MemoryQoS: true, AllAlpha: false },
      readOnlyPort: 0,
    },
  );
  assert.deepEqual(authentication.webhook, { enabled: false, cacheTTL: 180_000 });
  assert.deepEqual(authentication.anonymous, { enabled: true });
  assert.deepEqual(evictionHard, { ...defaultEvictionHard(), "nodefs.available": "20%" });
  await rejects(
    { "d/1.conf": "kind: KubeletConfiguration\napiVersion: kubelet.config.k8s.io/v1\n" },
    /failed to load kubelet dropin file, path: \/d\/1\.conf, unknown apiVersion\/kind: kubelet.config.k8s.io\/v1, Kind=KubeletConfiguration/,
  );
  await rejects(
    { "d/1.conf": `${head}maxPods: x\n` },
    /cannot unmarshal string into Go struct field KubeletConfiguration\.maxPods of type int32/,
  );
});

test("kubelet configuration: is shown as Go shows it", async () => {
  const shown = printConfiguration({
    ...defaultConfiguration(),
    clusterDNS: ["10.96.0.10"],
    userNamespaces: undefined,
  });
  for (const [field, value] of Object.entries({
    syncFrequency: "1m0s",
    streamingConnectionIdleTimeout: "4h0m0s",
    cpuCFSQuotaPeriod: "100ms",
    imageMaximumGCAge: "0s",
    shutdownGracePeriod: "0s",
    authorization: { mode: "Webhook", webhook: { cacheAuthorizedTTL: "5m0s", cacheUnauthorizedTTL: "30s" } },
    authentication: { x509: {}, webhook: { enabled: true, cacheTTL: "2m0s" }, anonymous: { enabled: false } },
    memorySwap: {},
    clusterDNS: ["10.96.0.10"],
    enableSystemLogQuery: false,
    resolvConf: "/etc/resolv.conf",
  }))
    assert.deepEqual(shown[field], value, field);
  for (const absent of [
    "staticPodPath",
    "rotateCertificates",
    "readOnlyPort",
    "tlsCipherSuites",
    "featureGates",
    "evictionSoft",
    "podsPerCore",
    "userNamespaces",
    "maxParallelImagePulls",
    "singleProcessOOMKill",
  ])
    assert.ok(!(absent in shown), absent);
  const again = await read({ "kubelet.yaml": JSON.stringify(shown) });
  assert.deepEqual(again.configuration, { ...defaultConfiguration(), clusterDNS: ["10.96.0.10"] });
  assert.deepEqual(again.warnings, []);
});

test("kubelet configuration: what can't work is refused in upstream's words", () => {
  const wrong: [Partial<KubeletConfiguration>, ...string[]][] = [
    [{ nodeLeaseDurationSeconds: -1 }, "nodeLeaseDurationSeconds must be greater than 0"],
    [
      { cgroupsPerQOS: false },
      'cgroupsPerQOS (--cgroups-per-qos) must be set to true when "pods" contained in enforceNodeAllocatable (--enforce-node-allocatable)',
    ],
    [
      { systemCgroups: "/" },
      "systemCgroups (--system-cgroups) was specified and cgroupRoot (--cgroup-root) was not specified",
    ],
    [{ eventBurst: -1 }, "eventBurst (--event-burst) -1 must not be a negative number"],
    [{ healthzPort: 65536 }, "healthzPort (--healthz-port) 65536 must be between 1 and 65535, inclusive"],
    [
      { featureGates: { CustomCPUCFSQuotaPeriod: false }, cpuCFSQuotaPeriod: 200 },
      "cpuCFSQuotaPeriod (--cpu-cfs-quota-period) {200ms} requires feature gate CustomCPUCFSQuotaPeriod",
    ],
    [
      { cpuCFSQuotaPeriod: 2000 },
      "cpuCFSQuotaPeriod (--cpu-cfs-quota-period) {2s} must be between 1ms and 1sec, inclusive",
    ],
    [
      { imageGCHighThresholdPercent: 101 },
      "imageGCHighThresholdPercent (--image-gc-high-threshold) 101 must be between 0 and 100, inclusive",
    ],
    [
      { imageGCLowThresholdPercent: 85 },
      "imageGCLowThresholdPercent (--image-gc-low-threshold) 85 must be less than imageGCHighThresholdPercent (--image-gc-high-threshold) 85",
    ],
    [{ nodeStatusMaxImages: -2 }, "nodeStatusMaxImages (--node-status-max-images) -2 must be -1 or greater"],
    [{ oomScoreAdj: 1001 }, "oomScoreAdj (--oom-score-adj) 1001 must be between -1000 and 1000, inclusive"],
    [
      { port: 65536, readOnlyPort: 65536 },
      "port (--port) 65536 must be between 1 and 65535, inclusive",
      "readOnlyPort (--read-only-port) 65536 must be between 0 and 65535, inclusive",
    ],
    [{ maxParallelImagePulls: 0 }, "maxParallelImagePulls 0 must be a positive number"],
    [
      { maxParallelImagePulls: 4 },
      "maxParallelImagePulls cannot be larger than 1 unless SerializeImagePulls (--serialize-image-pulls) is set to false",
    ],
    [
      { serverTLSBootstrap: true, featureGates: { RotateKubeletServerCertificate: false } },
      "serverTLSBootstrap true requires feature gate RotateKubeletServerCertificate",
    ],
    [
      { topologyManagerPolicy: "x" },
      'topologyManagerPolicy (--topology-manager-policy) "x" must be one of: ["none" "best-effort" "restricted" "single-numa-node"]',
    ],
    [
      { shutdownGracePeriodCriticalPods: 2000, shutdownGracePeriod: 1000 },
      "shutdownGracePeriodCriticalPods {2s} must be <= shutdownGracePeriod {1s}",
    ],
    [{ shutdownGracePeriod: 1 }, "shutdownGracePeriod {1ms} must be either zero or otherwise >= 1 sec"],
    [
      { shutdownGracePeriodByPodPriority: [{ priority: 0, shutdownGracePeriodSeconds: 0 }], shutdownGracePeriod: 2000 },
      "Cannot specify both shutdownGracePeriodByPodPriority and shutdownGracePeriod at the same time",
    ],
    [
      { memorySwap: { swapBehavior: "x" } },
      'memorySwap.swapBehavior "x" must be one of: "", "LimitedSwap" or "NoSwap"',
    ],
    [
      { crashLoopBackOff: { maxContainerRestartPeriod: 300_900 } },
      "CrashLoopBackOff.MaxContainerRestartPeriod (got: 300.9 seconds) must be set between 1s and 300s",
    ],
    [
      { enforceNodeAllocatable: ["system-reserved"] },
      'systemReservedCgroup (--system-reserved-cgroup) must be specified when "system-reserved" or "system-reserved-compressible" included in enforceNodeAllocatable (--enforce-node-allocatable)',
    ],
    [
      { enforceNodeAllocatable: ["none", "pods"] },
      'enforceNodeAllocatable (--enforce-node-allocatable) may not contain additional enforcements when "none" is specified',
    ],
    [
      { enforceNodeAllocatable: ["pods", "pods"] },
      'duplicated enforcements "pods" in enforceNodeAllocatable (--enforce-node-allocatable)',
    ],
    [
      { enforceNodeAllocatable: ["x"] },
      'option "x" specified for enforceNodeAllocatable (--enforce-node-allocatable). Valid options are "pods", "system-reserved", "system-reserved-compressible", "kube-reserved", "kube-reserved-compressible" or "none"',
    ],
    [
      { enforceNodeAllocatable: ["kube-reserved", "kube-reserved-compressible"], kubeReservedCgroup: "/x" },
      'both "kube-reserved-compressible" and "kube-reserved" cannot be specified together in enforceNodeAllocatable (--enforce-node-allocatable)',
    ],
    [
      { hairpinMode: "x" },
      'option "x" specified for hairpinMode (--hairpin-mode). Valid options are "none", "hairpin-veth" or "promiscuous-bridge"',
    ],
    [
      { reservedSystemCPUs: "0-1", kubeReservedCgroup: "/x" },
      "can't use reservedSystemCPUs (--reserved-cpus) with systemReservedCgroup (--system-reserved-cgroup) or kubeReservedCgroup (--kube-reserved-cgroup)",
    ],
    [
      { memoryThrottlingFactor: 1.1 },
      "memoryThrottlingFactor 1.1 must be greater than 0 and less than or equal to 1.0",
    ],
    [
      { memoryReservationPolicy: "TieredReservation" },
      'memoryReservationPolicy "TieredReservation" requires MemoryQoS feature gate to be enabled',
    ],
    [
      { enableSystemLogQuery: true, enableSystemLogHandler: false },
      "enableSystemLogHandler is required for enableSystemLogQuery",
    ],
    [{ imageMaximumGCAge: 60_000 }, "imageMaximumGCAge 1m0s must be greater than imageMinimumGCAge 2m0s"],
    [{ containerLogMaxFiles: 1 }, "containerLogMaxFiles must be greater than 1"],
    [
      { containerLogMonitorInterval: 2000 },
      "containerLogMonitorInterval must be a positive time duration greater than or equal to 3s",
    ],
    [{ podLogsDir: "/path/../" }, 'pod logs path "/path/../" must be normalized'],
    [{ podLogsDir: "/🧪" }, 'pod logs path "/🧪" mut contains ASCII characters only'],
    [
      { imagePullCredentialsVerificationPolicy: "x" as "NeverVerify" },
      'option "x" specified for imagePullCredentialsVerificationPolicy. Valid options are "NeverVerify", "NeverVerifyPreloadedImages", "NeverVerifyAllowlistedImages" or "AlwaysVerify"',
    ],
    [{ userNamespaces: { idsPerPod: 65_537 } }, "userNamespaces.idsPerPod must be a multiple of 65536"],
    [
      { reservedMemory: [{ numaNode: 0, limits: { memory: "0", cpu: "1" } }] },
      'reserved memory may not be zero for NUMA node 0 and resource "memory"',
      'the limit type "cpu" for NUMA node 0 is not supported, only [memory hugepages-<HugePageSize>] is accepted',
    ],
    [
      { registerWithTaints: [{ key: "a", effect: "NoSchedule", timeAdded: "2026-01-01T00:00:00Z" }] },
      "taint.TimeAdded is not nil",
    ],
  ];
  for (const [given, ...messages] of wrong)
    assert.deepEqual(
      validateConfiguration({ ...defaultConfiguration(), ...given }),
      messages.map((message) => `invalid configuration: ${message}`),
    );
  assert.deepEqual(validateConfiguration(defaultConfiguration()), []);
  assert.deepEqual(gateProblems({ NodeLogQuery: false, MemoryQoS: true, invalid: true }), [
    "cannot set feature gate NodeLogQuery to false, feature is locked to true",
    "unrecognized feature gate: invalid",
  ]);
});

test("kubelet flags: set fields as upstream's", () => {
  const c = defaultConfiguration();
  applyFlags(c, {
    "eviction-hard": ["memory.available<1Gi,nodefs.available<5%"],
    "system-reserved": ["cpu=200m", "memory=500Mi"],
    "cluster-dns": ["10.0.0.1,10.0.0.2"],
    "manifest-url-header": ["a:hello,b:again", "b:beautiful"],
    "register-with-taints": ["a=b:NoSchedule,c:NoExecute"],
    "sync-frequency": ["1m30s"],
    "fail-swap-on": ["false"],
    "anonymous-auth": ["true"],
    "reserved-memory": ["0:memory=1Gi,hugepages-1M=2Gi"],
  });
  assert.deepEqual(c.evictionHard, { "memory.available": "1Gi", "nodefs.available": "5%" });
  assert.deepEqual(c.systemReserved, { cpu: "200m", memory: "500Mi" });
  assert.deepEqual(c.clusterDNS, ["10.0.0.1", "10.0.0.2"]);
  assert.deepEqual(c.staticPodURLHeader, { a: ["hello"], b: ["again", "beautiful"] });
  assert.deepEqual(c.registerWithTaints, [
    { key: "a", value: "b", effect: "NoSchedule" },
    { key: "c", effect: "NoExecute" },
  ]);
  assert.deepEqual(c.reservedMemory, [{ numaNode: 0, limits: { memory: "1Gi", "hugepages-1M": "2Gi" } }]);
  assert.ok(c.syncFrequency === 90_000 && !c.failSwapOn && c.authentication.anonymous.enabled);
  for (const [flag, text, message] of [
    ["max-pods", "x", 'invalid argument "x" for "--max-pods" flag: strconv.ParseInt: parsing "x": invalid syntax'],
    ["sync-frequency", "5", 'invalid argument "5" for "--sync-frequency" flag: time: missing unit in duration "5"'],
    [
      "eviction-hard",
      "memory.available=1Gi",
      'invalid argument "memory.available=1Gi" for "--eviction-hard" flag: malformed pair, expect string<string',
    ],
    [
      "register-with-taints",
      "a=b",
      'invalid argument "a=b" for "--register-with-taints" flag: invalid taint spec: a=b',
    ],
  ] as const)
    assert.throws(() => applyFlags(c, { [flag]: [text] }), { message: `failed to parse kubelet flag: ${message}` });
});

test("node labels: those that the cluster gives meaning to are refused", () => {
  checkNodeLabels({
    "node.kubernetes.io/a": "b",
    "x.node.kubernetes.io/a": "",
    "kubernetes.io/hostname": "h",
    own: "1",
    "example.com/x": "y",
  });
  assert.throws(
    () => checkNodeLabels({ "kubernetes.io/a": "b", "x.k8s.io/c": "" }),
    /unknown 'kubernetes\.io' or 'k8s\.io' labels specified with --node-labels: \[kubernetes\.io\/a x\.k8s\.io\/c\]\n--node-labels in the 'kubernetes\.io' namespace must begin with an allowed prefix \(kubelet\.kubernetes\.io, node\.kubernetes\.io\)/,
  );
  assert.throws(() => checkNodeLabels({ "a b": "c" }), /invalid node labels: 'a b' - name part must consist of/);
});
