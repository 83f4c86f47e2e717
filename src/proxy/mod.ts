export { tableName } from "./core/base.ts";
export { createProxy, type Proxy, type ProxyOptions, removeRules } from "./proxy.ts";
export { nftProblem } from "./nftables/problem.ts";
export type { Committed, HealthCheck, ProxyObserver } from "./observer.ts";
export { type DetectLocal, type ProxySettings, proxySettings } from "./settings.ts";
export type { ProxyConfiguration } from "./config/configuration.ts";
export { type BindAddress, proxyPorts } from "./health/health-server.ts";
export { type ServedProxy, serveProxy, type ServeProxyOptions } from "./health/serve-proxy.ts";
/** Only `sampan proxy` reads files: loaded then. */
export const loadProxyConfiguration = async () => ({
  ...(await import("./config/configuration.ts")),
  ...(await import("./config/validate.ts")),
  ...(await import("./config/sysctls.ts")),
});
export type { Family } from "./core/endpoints.ts";
export { nodePortHosts } from "./health/node-port-hosts.ts";
/** Machines without nftables only: loaded then. */
export const loadUserspaceProxy = async () => ({
  ...(await import("./userspace/userspace-proxy.ts")),
  ...(await import("./userspace/local-routes.ts")),
});
