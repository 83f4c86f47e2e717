export { createEtcd } from "./sink/etcd.ts";
export { runSink } from "./sink/sink.ts";
export { type Answerer, createAnswerer, type Observer } from "./answers.ts";
export { parseServer } from "./forward/exchange.ts";
export { createForwarder, type Forwarder, type ForwardSettings } from "./forward/forwarder.ts";
export { parseResolvers, parseStubs, withConfigMap } from "./forward/resolv-conf.ts";
export { type DnsServer, type DnsServerOptions, startDnsServer } from "./server.ts";
export { createZone, type LiveZone, type Zone } from "./zone.ts";
