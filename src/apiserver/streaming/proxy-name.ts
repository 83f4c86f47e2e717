/** `[scheme:]name[:port]`, how the proxy subresources name what they mean. */

export interface ProxyName {
  /** "": http. */
  readonly scheme: "" | "http" | "https";
  readonly name: string;
  /** A number or the name of a port; "": the first one. */
  readonly port: string;
}

/** Undefined: not such a name. */
export function parseProxyName(text: string): ProxyName | undefined {
  const parts = text.split(":");
  const [scheme = "", name = "", port = ""] = parts.length === 3 ? parts : ["", ...parts];
  if (parts.length > 3 || name === "") return undefined;
  return scheme === "" || scheme === "http" || scheme === "https" ? { scheme, name, port } : undefined;
}
