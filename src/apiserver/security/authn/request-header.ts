/**
 * A proxy in front that has recognized the user and says so in headers: believed when it shows a certificate of an authority that is for
 * such proxies only, and perhaps has one of the allowed names. Upstream's request header authenticator.
 */
import type { IncomingHttpHeaders } from "node:http";
import type { RequestUser } from "#api";
import type { PeerCertificate } from "../../http/exchange.ts";
import { type Authorities, commonNameOf, isTrusted } from "./client-certificate.ts";
import { headerValues, prefixedValues } from "./header-values.ts";

export interface RequestHeaderOptions {
  /** As in the file: it may change while the server runs. */
  readonly authorities: () => Authorities;
  /** Common names; empty: any certificate of the authorities. */
  readonly allowedNames: readonly string[];
  readonly usernameHeaders: readonly string[];
  readonly uidHeaders: readonly string[];
  readonly groupHeaders: readonly string[];
  readonly extraHeaderPrefixes: readonly string[];
}

export interface RequestHeaderSettings extends Omit<RequestHeaderOptions, "authorities"> {
  /** PEM. */
  readonly authorities: string;
}

const standard = /^x-remote-(user|uid|group|extra-.*)$/;

/** Headers of these settings that nobody else knows to leave out when a request is passed on; undefined when all are standard. */
export function createHeaderRemoval(
  settings: RequestHeaderSettings,
): ((headers: IncomingHttpHeaders) => void) | undefined {
  const own = (names: readonly string[]) =>
    names.map((name) => name.trim().toLowerCase()).filter((name) => !standard.test(name));
  const names = new Set(own([settings.usernameHeaders, settings.uidHeaders, settings.groupHeaders].flat()));
  const prefixes = own(settings.extraHeaderPrefixes);
  if (names.size + prefixes.length === 0) return undefined;
  return (headers) => {
    for (const name of Object.keys(headers))
      if (names.has(name) || prefixes.some((prefix) => name.startsWith(prefix))) delete headers[name];
  };
}

/** Undefined: no user is named. "refused": whoever asks isn't such a proxy, or another one. */
export type RequestHeaders = (
  peer: PeerCertificate,
  rawHeaders: readonly string[],
  now: number,
) => RequestUser | "refused" | undefined;

export function createRequestHeaders(options: RequestHeaderOptions): RequestHeaders {
  const lower = (names: readonly string[]) => names.map((name) => name.trim().toLowerCase());
  const [names, uids, groups, extras] = [
    lower(options.usernameHeaders),
    lower(options.uidHeaders),
    lower(options.groupHeaders),
    lower(options.extraHeaderPrefixes),
  ];
  return (peer, rawHeaders, now) => {
    if (!isTrusted(peer, options.authorities(), now)) return "refused";
    if (options.allowedNames.length > 0 && !options.allowedNames.includes(commonNameOf(peer.certificate)))
      return "refused";
    const first = (headers: readonly string[]) =>
      headers.map((header) => headerValues(rawHeaders, header)[0] ?? "").find((value) => value !== "") ?? "";
    const name = first(names);
    if (name === "") return undefined;
    const extra: Record<string, string[]> = {};
    for (const prefix of extras)
      for (const [key, values] of Object.entries(prefixedValues(rawHeaders, prefix)))
        extra[key] = [...(extra[key] ?? []), ...values];
    return {
      name,
      uid: first(uids),
      groups: groups.flatMap((header) => headerValues(rawHeaders, header)).filter((group) => group !== ""),
      extra,
    };
  };
}
