/** Making a pod's sandbox: its names, resolver, cgroup and log folder. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { dnsConfig, parseResolvConf } from "../core/dns-config.ts";
import { hostsFile, podNames } from "../core/hosts-file.ts";
import { sandboxConfig } from "../core/sandbox-config.ts";
import { isHostNetwork, type PodView } from "../core/types.ts";
import type { PodSandboxConfig } from "../cri/types.d.ts";
import { type PodContext, recordEvent } from "./context.ts";
import { podUsers } from "./user-namespaces.ts";

/** The request for the sandbox; the same request names it when containers are made in it. Rejects when the pod's names can't be. */
export async function prepareSandbox(context: PodContext, pod: PodView, attempt: number): Promise<PodSandboxConfig> {
  const { node, layout, cgroups } = context;
  const { name = "", namespace = "", uid = "" } = pod.metadata;
  const { kernelHostname } = podNames(pod, node.clusterDomain);
  const host = node.resolvConf === "" ? undefined : parseResolvConf(await readText(node.resolvConf));
  const { clusterDns, clusterDomain } = node;
  const input = { clusterDns, clusterDomain, host, nodeIps: node.hostIPs() };
  const { config: dns, warnings, nodeWarnings } = dnsConfig(pod, input);
  for (const { reason, message } of nodeWarnings) node.event?.("Warning", reason, message);
  for (const warning of warnings) recordEvent(context, pod, { type: "Warning", ...warning });
  const logDirectory = layout.podLogs({ namespace, name, uid });
  const [cgroupParent, users] = await Promise.all([
    cgroups.setUp(pod, context.resources.hasOwnCpus(pod)),
    podUsers(context, pod),
    mkdir(logDirectory, { recursive: true, mode: 0o755 }),
  ]);
  return sandboxConfig(pod, {
    attempt,
    hostname: kernelHostname,
    dns,
    logDirectory,
    cgroupParent,
    seccompRoot: layout.seccomp,
    seccompDefault: context.config.seccompDefault,
    users,
  });
}

/** Writes the pod's hosts file; answers its path. */
export async function writeHostsFile(
  { node, layout }: PodContext,
  pod: PodView,
  podIPs: readonly string[],
): Promise<string> {
  const { hostname, fqdn } = podNames(pod, node.clusterDomain);
  const path = layout.pod(pod.metadata.uid ?? "").etcHosts;
  const text = hostsFile(pod, {
    podIPs: isHostNetwork(pod) ? [] : podIPs,
    hostname,
    fqdn,
    hostFile: isHostNetwork(pod) ? await readText("/etc/hosts") : undefined,
  });
  await mkdir(dirname(path), { recursive: true, mode: 0o750 });
  // Written in place: containers have this very file mounted.
  await writeFile(path, text, { mode: 0o644 });
  return path;
}

/** "" when there is no such file. */
const readText = (path: string): Promise<string> =>
  readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
