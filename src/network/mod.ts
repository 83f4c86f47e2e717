export { ipJson, runBatch } from "./ip.ts";
export { type NetworkMode, networkModes, type NodeNetwork, type RoutesOptions } from "./contract.ts";
export { bridgeName } from "./names.ts";
export { NetworkError } from "./network-error.ts";
export {
  bridgeOwner,
  type NodeNetworkOptions,
  prepareNodeNetwork,
  removeNodeNetwork,
} from "./node-network.ts";
export { addressIn, subnetOf } from "./range.ts";
export { createRoutes, type Routes } from "./routes.ts";
