/**
 * How many ready endpoints of services with a health check are on this node, told whole whenever one changed; and how many ports have
 * endpoints, but none that their policy allows here.
 */
import type { HealthCheck, ProxyObserver } from "../observer.ts";
import type { ServicePort } from "./service-port.ts";

export interface HealthChecks {
  update(ports: ReadonlyMap<string, readonly ServicePort[]>): void;
}

export function createHealthChecks(observer: ProxyObserver | undefined): HealthChecks {
  const checks = new Map<string, HealthCheck>();
  /** By key: ports without, as `internal IPv4`. */
  const without = new Map<string, readonly string[]>();
  let told = false;

  function updateWithout(ports: ReadonlyMap<string, readonly ServicePort[]>): void {
    let changed = false;
    for (const [key, all] of ports) {
      const found = all.flatMap(withoutLocal);
      if (found.length === 0) changed = without.delete(key) || changed;
      else {
        changed ||= without.get(key)?.join() !== found.join();
        without.set(key, found);
      }
    }
    if (!changed) return;
    const counts = { internal: { IPv4: 0, IPv6: 0 }, external: { IPv4: 0, IPv6: 0 } };
    for (const found of without.values())
      for (const each of found) {
        const [policy, family] = each.split(" ") as ["internal" | "external", ServicePort["family"]]; // as written below
        counts[policy][family]++;
      }
    observer?.withoutLocal?.(counts);
  }

  return {
    update(ports) {
      if (observer?.withoutLocal) updateWithout(ports);
      if (!observer?.localEndpoints) return;
      let changed = !told;
      for (const [key, all] of ports) {
        const port = all.find(({ healthCheckNodePort }) => healthCheckNodePort > 0)?.healthCheckNodePort;
        const before = checks.get(key);
        if (port === undefined) {
          changed = checks.delete(key) || changed;
          continue;
        }
        const local = new Set(all.flatMap(({ localReady }) => localReady)).size;
        if (before?.port === port && before.local === local) continue;
        const [namespace = "", name = ""] = key.split("/");
        checks.set(key, { namespace, name, port, local });
        changed = true;
      }
      told = true;
      if (changed) observer.localEndpoints(checks);
    },
  };
}

function withoutLocal({ family, internalLocal, externalLocal, localEndpoints, hasEndpoints }: ServicePort): string[] {
  if (!hasEndpoints || localEndpoints.length > 0) return [];
  return [...(internalLocal ? [`internal ${family}`] : []), ...(externalLocal ? [`external ${family}`] : [])];
}
