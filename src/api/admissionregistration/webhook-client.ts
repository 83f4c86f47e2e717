/** How a webhook is called: a URL, or a service of the cluster. Follows apiserver's util/webhook validation, also for custom resources. */
import { goQuote, isDns1123Subdomain, isPortNumber } from "#machinery";
import type { Place } from "../place.ts";
import type { WebhookClientConfig } from "../types.d.ts";

const wantedForm = "; desired format: https://host[/path]";
const urlParts = /^(?:([a-zA-Z][a-zA-Z0-9+.-]*):)?(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/s;

export function validateWebhookUrl(url: string, at: Place): void {
  const why = whyNoUrl(url);
  if (why !== undefined) {
    at.required(`url must be a valid URL: parse ${goQuote(url)}: ${why}${wantedForm}`);
    return;
  }
  const [, scheme = "", authority = "", , query = "", fragment = ""] = urlParts.exec(url) ?? [];
  if (scheme.toLowerCase() !== "https") {
    at.invalid(scheme.toLowerCase(), `'https' is the only allowed URL scheme${wantedForm}`);
  }
  const userEnd = authority.lastIndexOf("@");
  const host = authority.slice(userEnd + 1);
  if (host === "") at.invalid(host, `host must be specified${wantedForm}`);
  if (userEnd >= 0) at.invalid(authority.slice(0, userEnd), "user information is not permitted in the URL");
  if (fragment !== "") at.invalid(fragment, "fragments are not permitted in the URL");
  if (query !== "") at.invalid(query, "query parameters are not permitted in the URL");
}

/** What Go's parser stumbles over, as far as it happens to people. */
function whyNoUrl(url: string): string | undefined {
  if ([...url].some((character) => character < " " || character === "\x7f")) {
    return "net/url: invalid control character in URL";
  }
  if (url.startsWith(":")) return "missing protocol scheme";
  const [, scheme, authority = "", path = ""] = urlParts.exec(url) ?? [];
  if (scheme === undefined && authority === "" && path.split("/", 1)[0]?.includes(":")) {
    return "first path segment in URL cannot contain colon";
  }
  const host = authority.slice(authority.lastIndexOf("@") + 1);
  const port = /:[^\]:]*$/.exec(host)?.[0];
  if (port !== undefined && !/^:\d*$/.test(port)) return `invalid port ${goQuote(port)} after host`;
  const wrong = /%(?![0-9a-fA-F]{2}).{0,2}/s.exec(host + path)?.[0];
  return wrong === undefined ? undefined : `invalid URL escape ${goQuote(wrong)}`;
}

export interface ServiceAddress {
  readonly namespace?: string;
  readonly name?: string;
  readonly path?: string;
  readonly port?: number;
}

export function validateWebhookService({ namespace = "", name = "", path, port = 0 }: ServiceAddress, at: Place): void {
  if (name === "") at.child("name").required();
  if (namespace === "") at.child("namespace").required();
  const wrong = isPortNumber(port);
  if (wrong.length > 0) at.child("port").invalid(port, `port is not valid: ${wrong.join(", ")}`);
  if (path) validatePath(path, at.child("path"));
}

function validatePath(path: string, at: Place): void {
  if (path === "/") return;
  if (path === "//") {
    at.invalid(path, "segment[0] may not be empty");
    return;
  }
  if (!path.startsWith("/")) at.invalid(path, "must start with a '/'");
  // Upstream takes the first character off whatever it is.
  const segments = path.slice(1).replace(/\/$/, "").split("/");
  segments.forEach((segment, i) => {
    if (segment === "") at.invalid(path, `segment[${i}] may not be empty`);
    else for (const message of isDns1123Subdomain(segment)) at.invalid(path, `segment[${i}]: ${message}`);
  });
}

export function validateClientConfig({ url, service }: WebhookClientConfig, at: Place): void {
  if ((url === undefined) === (service === undefined)) at.required("exactly one of url or service is required");
  else if (url !== undefined) validateWebhookUrl(url, at.child("url"));
  else if (service) {
    // Upstream hands the two over in the wrong order, so a missing one is reported as the other.
    const { name = "", namespace = "" } = service;
    validateWebhookService({ ...service, name: namespace, namespace: name }, at.child("service"));
  }
}
