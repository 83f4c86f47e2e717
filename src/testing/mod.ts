export { FakeTransport, type Intercept } from "./fake-transport.ts";
export { createFakeInformers, type FakeInformers } from "./informers.ts";
export {
  insideNamespace,
  ip,
  makeBridge,
  makePod,
  runInNamespace,
  type TestPod,
  whyNoNamespaces,
} from "./network.ts";
export { startMachine, type TestMachine } from "./machine.ts";
export { fillDisk } from "./fill-disk.ts";
export { leftovers } from "./leftovers.ts";
export { type NodeCounts, nodeCounts } from "./node-counts.ts";
export { type Cluster, type ClusterOptions, startCluster } from "./start-cluster.ts";
export {
  pushImage,
  type Registry,
  type RegistryOptions,
  registryUser,
  startRegistry,
  whyNoRegistry,
} from "./registry.ts";
export { scaledClock } from "./scaled-clock.ts";
export { type ClusterApi, connectApi, type LooseObject } from "./cluster-api.ts";
export { type ClusterMachine, type ClusterMachines, startClusterMachines } from "./cluster-machines.ts";
export { startTestCluster, type TestCluster, whyNoCluster } from "./cluster.ts";
export { type Random, createRandom, type Fuzz, fuzz, anyJson } from "./fuzz.ts";
export type { DeviceDriver } from "./device-driver.ts";
/** Only who plays a driver needs the node's plugin protocol. */
export const startDeviceDriver = async (options: import("./device-driver.ts").DeviceDriverOptions) =>
  (await import("./device-driver.ts")).startDeviceDriver(options);
export type { CsiDriver, CsiDriverOptions, CsiRequest } from "./csi-driver.ts";
export const startCsiDriver = async (options: import("./csi-driver.ts").CsiDriverOptions) =>
  (await import("./csi-driver.ts")).startCsiDriver(options);
export type { TestPlugin, TestPluginOptions } from "./device-plugin.ts";
export const startTestPlugin = async (options: import("./device-plugin.ts").TestPluginOptions) =>
  (await import("./device-plugin.ts")).startTestPlugin(options);
