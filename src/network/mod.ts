export {
  addressIn,
  bridgeName,
  bridgeOwner,
  NetworkError,
  type NodeNetwork,
  type NodeNetworkOptions,
  prepareNodeNetwork,
  removeNodeNetwork,
  subnetOf,
} from "./node-network.ts";
