/** What makes an ingress valid. */
import { type FieldError, isDns1123Subdomain, isWildcardDns1123Subdomain, nameIsDnsSubdomain } from "#machinery";
import { parseIp } from "../../ip.ts";
import { Place } from "../../place.ts";
import { specOf } from "../../spec-of.ts";
import type { HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressRule, IngressTLS } from "../../types.d.ts";
import { validateBackend } from "./backend.ts";

const badSequences = ["//", "/./", "/../", "%2f", "%2F"];
const badEndings = ["/..", "/."];
const pathTypes = ["Exact", "ImplementationSpecific", "Prefix"];

/** With `old`, faults of an older release in secret names and rules of wildcard hosts may stay. */
export function validateIngress(ingress: Ingress, old?: Ingress): FieldError[] {
  const at = Place.root("spec");
  const { defaultBackend, rules = [], tls = [], ingressClassName } = specOf(ingress);
  if (rules.length === 0 && !defaultBackend) {
    at.invalid(null, "either `defaultBackend` or `rules` must be specified");
  }
  if (defaultBackend) validateBackend(defaultBackend, at.child("defaultBackend"));
  const anyWildcardRule = old?.spec?.rules?.some(isBadWildcardRule) ?? false;
  rules.forEach((rule, i) => {
    const place = at.child("rules").index(i);
    const isWildcard = validateHost(rule.host ?? "", place.child("host"));
    if (rule.http && !(isWildcard && anyWildcardRule)) validateHttp(rule.http, place.child("http"));
  });
  const anySecretName =
    old?.spec?.tls?.some(({ secretName = "" }) => secretNameMessages(secretName).length > 0) ?? false;
  tls.forEach((each, i) => {
    validateTls(each, at.child("tls").index(i), { anySecretName });
  });
  if (ingressClassName !== undefined) {
    at.child("ingressClassName").invalidEach(ingressClassName, nameIsDnsSubdomain(ingressClassName, false));
  }
  return at.errors;
}

function isBadWildcardRule({ host = "", http }: IngressRule): boolean {
  if (!host.includes("*") || !http) return false;
  const at = Place.root("http");
  validateHttp(http, at);
  return at.errors.length > 0;
}

/** Whether it stands for many. */
function validateHost(host: string, at: Place): boolean {
  if (host === "") return false;
  if (parseIp(host)) at.invalid(host, "must be a DNS name, not an IP address");
  const isWildcard = host.includes("*");
  at.invalidEach(host, isWildcard ? isWildcardDns1123Subdomain(host) : isDns1123Subdomain(host));
  return isWildcard;
}

const secretNameMessages = (name: string): readonly string[] => (name === "" ? [] : nameIsDnsSubdomain(name, false));

function validateTls({ hosts = [], secretName = "" }: IngressTLS, at: Place, allow: { anySecretName: boolean }): void {
  hosts.forEach((host, i) => {
    const messages = host.includes("*") ? isWildcardDns1123Subdomain(host) : isDns1123Subdomain(host);
    at.child("hosts").index(i).invalidEach(host, messages);
  });
  if (!allow.anySecretName) at.child("secretName").invalidEach(secretName, secretNameMessages(secretName));
}

function validateHttp(http: HTTPIngressRuleValue, at: Place): void {
  const paths = http.paths ?? []; // printed as null
  const place = at.child("paths");
  if (paths.length === 0) place.required();
  paths.forEach((path, i) => {
    validatePath(path, place.index(i));
  });
}

function validatePath({ path = "", pathType, backend }: HTTPIngressPath, at: Place): void {
  if (pathType === undefined || pathType === null) {
    at.child("pathType").required("pathType must be specified");
    return;
  }
  const place = at.child("path");
  const isExact = pathType !== "ImplementationSpecific";
  if (!pathTypes.includes(pathType)) at.child("pathType").notSupported(pathType, pathTypes);
  else {
    if (!path.startsWith("/") && (isExact || path !== "")) place.invalid(path, "must be an absolute path");
    if (isExact) {
      for (const bad of badSequences) if (path.includes(bad)) place.invalid(path, `must not contain '${bad}'`);
      for (const bad of badEndings) if (path.endsWith(bad)) place.invalid(path, `cannot end with '${bad}'`);
    }
  }
  validateBackend(backend ?? {}, at.child("backend"));
}
