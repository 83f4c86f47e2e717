export { ipJson, runBatch } from "./ip.ts";
export { NetworkError } from "./network-error.ts";
export {
  bridgeName,
  bridgeOwner,
  networkModes,
  type NetworkMode,
  type NodeNetwork,
  type NodeNetworkOptions,
  prepareNodeNetwork,
  removeNodeNetwork,
} from "./node-network.ts";
export { addressIn, subnetOf } from "./range.ts";
export { createRoutes, type Routes, type RoutesOptions } from "./routes.ts";
