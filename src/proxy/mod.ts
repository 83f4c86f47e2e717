export { tableName } from "./core/script.ts";
export { type ApplyScript, createNft, NftError } from "./nftables/nft.ts";
export { createProxy, type Proxy, type ProxyOptions, removeRules } from "./proxy.ts";
