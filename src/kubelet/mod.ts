export { stopContainerd } from "./containerd.ts";
export { defaultConfiguration, type KubeletConfiguration } from "./config/configuration.ts";
export { applyFlags, configurationFlags, isBooleanFlag } from "./config/flags.ts";
export { checkNodeLabels } from "./config/node-labels.ts";
export { printConfiguration, readConfiguration } from "./config/read.ts";
/** Only nodes that ask for certificates have it in memory. */
export const loadNodeCertificates = () => import("./certificates/node-certificates.ts");
export { CriError } from "./cri/client.ts";
export { type ContainerLog, HostError, type HostedPod, type KubeletHost, logContainerId } from "./host.ts";
export { type ImageStore, importImage, pinnedImages } from "./image/import.ts";
export { listImages, type StoredImage } from "./image/list.ts";
export { normalName, type PackedFile, type PackOptions, packImage } from "./image/pack.ts";
export { createKubelet, type Kubelet } from "./kubelet.ts";
export { cgroupRootOf, type KubeletDependencies, type KubeletOptions } from "./options.ts";
export type { NodeStats } from "./stats/node-stats.ts";
export { removeNode } from "./remove-node.ts";
export { type PreparedNode, prepareNode } from "./prepare-node.ts";
export { nodeFolders } from "./runtime-setup.ts";
export { createNodeAuth, type KubeletAuth, type KubeletUser } from "./server/auth.ts";
export { type Exchange, sendText } from "./server/exchange.ts";
export type { KubeletRoute } from "./server/routes.ts";
export type { TranslatedExchange } from "./server/stream.ts";
export type { Behavior } from "./simulated/behavior.ts";
export type { SimulatedNodes, SimulatedNodesOptions, Usage } from "./simulated/simulated-nodes.ts";
/** Only who simulates has it in memory. */
export const loadSimulatedNodes = () => import("./simulated/simulated-nodes.ts");
export {
  createHealthServer,
  createKubeletServer,
  createReadOnlyServer,
  kubeletPort,
  type KubeletServer,
  type KubeletServerDependencies,
  type KubeletServerOptions,
  type KubeletTls,
} from "./server/server.ts";
export { connectPlugin, servePlugin } from "./plugins/plugin-protocol.ts";
export type { PluginDevice } from "./device-plugins/endpoints.ts";
