/**
 * Whether node ports and the keys that reserve them belong together. Both are written in one transaction, so this finds what a data base from
 * elsewhere brought along and what a narrower range left outside. Pure; follows pkg/registry/core/service/portallocator/controller/repair.go.
 */
import type { Service } from "#api";
import type { DeepReadonly } from "#machinery";
import { type PortRange, portInRange } from "./port-range.ts";

/** A port that nobody has is given back only after it was seen like that so many times: its Service may be on its way. */
export const leakChecks = 3;

export interface PortState {
  readonly range: PortRange;
  readonly reserved: ReadonlySet<number>;
  /** In the order of their keys. */
  readonly services: readonly DeepReadonly<Service>[];
  /** How often each was seen without a Service. */
  readonly leaks: ReadonlyMap<number, number>;
}

export interface PortRepairs {
  readonly events: readonly {
    readonly service: DeepReadonly<Service>;
    readonly reason: string;
    readonly note: string;
  }[];
  readonly take: readonly { readonly port: number; readonly service: DeepReadonly<Service> }[];
  readonly release: readonly number[];
  readonly leaks: ReadonlyMap<number, number>;
}

export function repairPorts({ range, reserved, services, leaks }: PortState): PortRepairs {
  const events: PortRepairs["events"][number][] = [];
  const take: PortRepairs["take"][number][] = [];
  const seen = new Set<number>();
  for (const service of services) {
    const tell = (reason: string, note: string) => events.push({ service, reason, note });
    for (const port of portsOf(service)) {
      if (!portInRange(range, port))
        tell("PortOutOfRange", `Port ${port} is not within the port range ${range.text}; please recreate service`);
      else if (seen.has(port))
        tell("PortAlreadyAllocated", `Port ${port} was assigned to multiple services; please recreate service`);
      else {
        seen.add(port);
        if (reserved.has(port)) continue;
        tell("PortNotAllocated", `Port ${port} is not allocated; repairing`);
        take.push({ port, service });
      }
    }
  }
  const left = [...reserved].filter((port) => !seen.has(port));
  const counts = new Map(left.map((port) => [port, (leaks.get(port) ?? 0) + 1]));
  const release = left.filter((port) => (counts.get(port) ?? 0) > leakChecks);
  for (const port of release) counts.delete(port);
  return { events, take, release, leaks: counts };
}

/** One of the same number for two protocols is one; for the same protocol again it is a mistake that shows. */
function portsOf({ spec }: DeepReadonly<Service>): number[] {
  const ports: number[] = [];
  const protocols = new Map<number, Set<string>>();
  for (const { nodePort, protocol = "TCP" } of spec?.ports ?? []) {
    if (!nodePort) continue;
    const known = protocols.get(nodePort);
    if (!known || known.has(protocol)) ports.push(nodePort);
    protocols.set(nodePort, (known ?? new Set()).add(protocol));
  }
  const health = spec?.healthCheckNodePort ?? 0;
  const shared = protocols.get(health);
  if (health !== 0 && (!shared || shared.has("TCP"))) ports.push(health);
  return ports;
}
