export { tableName } from "./core/script.ts";
export { createProxy, type Proxy, type ProxyOptions, removeRules } from "./proxy.ts";
