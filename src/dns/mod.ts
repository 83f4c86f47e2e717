export { createForwarder, type Forwarder, parseResolvers } from "./forward.ts";
export { type DnsServer, type DnsServerOptions, startDnsServer } from "./server.ts";
export { createZone, type Zone } from "./zone.ts";
