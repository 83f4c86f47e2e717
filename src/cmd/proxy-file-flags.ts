/** `--config` of a proxy names a KubeProxyConfiguration; undefined when it is a file of flags. */
export function proxyFileFlags(path: string, content: object): Record<string, unknown> | undefined {
  return "kind" in content && content.kind === "KubeProxyConfiguration" ? { "proxy-config": path } : undefined;
}
