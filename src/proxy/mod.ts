export { tableName } from "./core/script.ts";
export { createProxy, type Proxy, type ProxyOptions, removeRules } from "./proxy.ts";
export type { Committed, HealthCheck, ProxyObserver } from "./observer.ts";
export { type DetectLocal, type ProxySettings, proxySettings } from "./settings.ts";
