export { type AnnouncerOptions, removeAddresses, runAnnouncer } from "./announcer/announcer.ts";
export { type Balancer, createBalancer } from "./haproxy/balancer.ts";
export {
  balancedApiServers,
  type ClusterOptions,
  type FollowedCluster,
  followCluster,
} from "./haproxy/cluster.ts";
export { isHost, printConfig } from "./haproxy/config.ts";
export type { Balanced, Server } from "./haproxy/model.ts";
export { createHaproxy, type Haproxy, HaproxyError } from "./haproxy/process.ts";
