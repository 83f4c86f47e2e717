/** `--config` of a kubelet names a KubeletConfiguration, or a static pod; undefined when it is a file of flags. */
export function kubeletFileFlags(path: string, content: object): Record<string, unknown> | undefined {
  const { kind } = content as { kind?: unknown }; // whatever it holds
  if (kind === "KubeletConfiguration") return { "kubelet-config": path };
  return kind === "Pod" ? { "pod-manifest-path": path } : undefined;
}
