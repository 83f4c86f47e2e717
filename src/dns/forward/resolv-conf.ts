/** Where a machine's and a cluster's settings name resolvers: resolv.conf, flags, and the ConfigMap that kube-dns read. */
import { isIP } from "node:net";
import type { Logger } from "#base";
import type { ForwardSettings } from "./forwarder.ts";

/** The resolvers of a resolv.conf, without `own` addresses. */
export function parseResolvers(resolvConf: string, own: readonly string[] = []): string[] {
  return resolvConf
    .split("\n")
    .map((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? "")
    .filter((address) => isIP(address) && !own.includes(address));
}

/** `corp.example=10.0.0.1[:PORT]`, several servers by naming the domain several times. Throws on what isn't that. */
export function parseStubs(texts: readonly string[]): Record<string, string[]> {
  const stubs: Record<string, string[]> = {};
  for (const text of texts) {
    const [, domain = "", server = ""] = /^([^=]+)=(.+)$/.exec(text) ?? [];
    if (domain === "" || server === "") throw new TypeError(`${JSON.stringify(text)} is not DOMAIN=IP[:PORT]`);
    stubs[domain] = [...(stubs[domain] ?? []), server];
  }
  return stubs;
}

/** The cluster's wishes over the machine's; what can't be read is left out, so that DNS goes on with the rest. */
export function withConfigMap(
  base: ForwardSettings,
  data: Readonly<Record<string, string>> | undefined,
  log: Logger,
): ForwardSettings {
  const read = <T>(key: string, isSound: (value: unknown) => value is T): T | undefined => {
    const text = data?.[key];
    if (text === undefined || text.trim() === "") return undefined;
    try {
      const value: unknown = JSON.parse(text);
      if (isSound(value)) return value;
      log.warn("dns: ConfigMap kube-dns: not of the form that is expected, left out", { key });
    } catch (error) {
      log.warn("dns: ConfigMap kube-dns: no JSON, left out", { key, error });
    }
    return undefined;
  };
  const servers = read("upstreamNameservers", isTexts);
  const stubs = read("stubDomains", isStubs);
  return { servers: servers ?? base.servers, stubs: { ...base.stubs, ...stubs } };
}

const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((each) => typeof each === "string");
const isStubs = (value: unknown): value is Record<string, string[]> =>
  typeof value === "object" && value !== null && !Array.isArray(value) && Object.values(value).every(isTexts);
