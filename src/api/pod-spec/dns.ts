/** Name resolution of a pod: policy, own servers and search list, host aliases, its own host name. */
import { isDns1123Subdomain, isDns1123SubdomainWithUnderscore } from "#machinery";
import { validateIp } from "../ip.ts";
import type { Place } from "../place.ts";
import type { HostAlias, PodDNSConfig, PodSpec } from "../types.d.ts";

const policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];

export function validateDnsPolicy(policy: string | undefined, at: Place): void {
  if (!policy) at.required();
  else if (!policies.includes(policy)) at.notSupported(policy, policies);
}

/** What the resolver of libc takes. */
const serversMax = 3;
const searchPathsMax = 32;
const searchCharactersMax = 2048;

export function validateDnsConfig({ dnsConfig, dnsPolicy }: PodSpec, at: Place): void {
  if (dnsPolicy === "None" && !dnsConfig) at.required("must provide `dnsConfig` when `dnsPolicy` is None");
  else if (dnsPolicy === "None" && !dnsConfig?.nameservers?.length) {
    at.child("nameservers").required("must provide at least one DNS nameserver when `dnsPolicy` is None");
  } else if (dnsConfig) validateConfig(dnsConfig, at);
}

function validateConfig({ nameservers = [], searches = [], options = [] }: PodDNSConfig, at: Place): void {
  if (nameservers.length > serversMax) {
    at.child("nameservers").invalid(nameservers, `must not have more than ${serversMax} nameservers`);
  }
  nameservers.forEach((server, i) => {
    validateIp(server, at.child("nameservers").index(i));
  });
  const place = at.child("searches");
  if (searches.length > searchPathsMax) {
    place.invalid(searches, `must not have more than ${searchPathsMax} search paths`);
  }
  if (searches.join(" ").length > searchCharactersMax) {
    const why = `must not have more than ${searchCharactersMax} characters (including spaces) in the search list`;
    place.invalid(searches, why);
  }
  searches.forEach((search, i) => {
    if (search === ".") return;
    const domain = search.replace(/\.$/, "");
    place.index(i).invalidEach(domain, isDns1123SubdomainWithUnderscore(domain));
  });
  options.forEach(({ name }, i) => {
    if (!name) at.child("options").index(i).required("must not be empty");
  });
}

export function validateHostAliases(aliases: readonly HostAlias[], at: Place): void {
  aliases.forEach(({ ip = "", hostnames }, i) => {
    validateIp(ip, at.index(i).child("ip"));
    hostnames?.forEach((name, j) => {
      at.index(i).child("hostnames").index(j).invalidEach(name, isDns1123Subdomain(name));
    });
  });
}

/** HOST_NAME_MAX */
const hostnameBytesMax = 64;

export function validateHostnameOverride(spec: PodSpec, at: Place): void {
  const { hostnameOverride: name } = spec;
  if (name === undefined) return;
  if (spec.setHostnameAsFQDN) at.forbidden("may not be specified when setHostnameAsFQDN is true");
  if (spec.hostNetwork) at.forbidden("may not be specified when hostNetwork is true");
  if (name.length > hostnameBytesMax) at.tooLong(hostnameBytesMax);
  at.invalidEach(name, isDns1123Subdomain(name));
}
