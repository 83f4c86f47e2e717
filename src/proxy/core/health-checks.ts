/** How many ready endpoints of services with a health check are on this node: told whole whenever one changed. */
import type { HealthCheck, ProxyObserver } from "../observer.ts";
import type { ServicePort } from "./service-port.ts";

export interface HealthChecks {
  update(ports: ReadonlyMap<string, readonly ServicePort[]>): void;
}

export function createHealthChecks(observer: ProxyObserver | undefined): HealthChecks {
  const checks = new Map<string, HealthCheck>();
  let told = false;
  return {
    update(ports) {
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
