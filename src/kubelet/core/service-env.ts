/** Variables that tell a container of the Services that existed when it started. */
import type { PodView, ServiceView } from "./types.ts";

const masterService = { namespace: "default", name: "kubernetes" };

/** The Services whose variables this pod gets: those of its namespace if it wants links, and always the API's. */
export function servicesFor(pod: PodView, services: readonly ServiceView[]): ServiceView[] {
  const links = pod.spec?.enableServiceLinks !== false;
  const chosen = new Map<string, ServiceView>();
  for (const service of services) {
    const { name = "", namespace } = service.metadata;
    const ip = service.spec?.clusterIP;
    if (!ip || ip === "None") continue;
    const own = namespace === pod.metadata.namespace && links;
    if (own) chosen.set(name, service);
    else if (namespace === masterService.namespace && name === masterService.name && !chosen.has(name))
      chosen.set(name, service);
  }
  return [...chosen.values()];
}

export function serviceEnv(services: readonly ServiceView[]): Map<string, string> {
  const env = new Map<string, string>();
  for (const { metadata, spec } of services) {
    const prefix = variableName(metadata.name ?? "");
    const ip = spec?.clusterIP ?? "";
    const [first] = spec?.ports ?? [];
    env.set(`${prefix}_SERVICE_HOST`, ip);
    if (first) env.set(`${prefix}_SERVICE_PORT`, String(first.port));
    for (const { name, port } of spec?.ports ?? [])
      if (name) env.set(`${prefix}_SERVICE_PORT_${variableName(name)}`, String(port));
    for (const [at, { port, protocol = "TCP" }] of (spec?.ports ?? []).entries()) {
      const scheme = protocol.toLowerCase();
      const host = ip.includes(":") ? `[${ip}]` : ip;
      const url = `${scheme}://${host}:${port}`;
      const portPrefix = `${prefix}_PORT_${port}_${protocol.toUpperCase()}`;
      if (at === 0) env.set(`${prefix}_PORT`, url);
      env.set(portPrefix, url);
      env.set(`${portPrefix}_PROTO`, scheme);
      env.set(`${portPrefix}_PORT`, String(port));
      env.set(`${portPrefix}_ADDR`, ip);
    }
  }
  return env;
}

const variableName = (name: string): string => name.replaceAll("-", "_").toUpperCase();
