export { tableName } from "./core/script.ts";
export { createProxy, type Proxy, type ProxyOptions, removeRules } from "./proxy.ts";
export type { Committed, HealthCheck, ProxyObserver } from "./observer.ts";
export { type DetectLocal, type ProxySettings, proxySettings } from "./settings.ts";
export type { ProxyConfiguration } from "./config/configuration.ts";
export { type BindAddress, proxyPorts } from "./health/health-server.ts";
export type { Family } from "./health/proxy-health.ts";
export { type ServedProxy, serveProxy, type ServeProxyOptions } from "./health/serve-proxy.ts";
/** Only `sampan proxy` reads files: loaded then. */
export const loadProxyConfiguration = async () => ({
  ...(await import("./config/configuration.ts")),
  ...(await import("./config/validate.ts")),
});
