/** Warnings about containers: amounts that are no whole bytes, variables that hide others, ports that clash. */
import { goQuote } from "#machinery";
import type { Place } from "../place.ts";
import { isWholeAmount } from "../resource-names.ts";
import type { ContainerPort, PodSpec } from "../types.d.ts";
import { type AnyContainer, visitContainers } from "./containers-of.ts";

export const fractional = (at: Place, amount: string): string =>
  `${at}: fractional byte value ${goQuote(amount)} is invalid, must be an integer`;

export function containerWarnings(container: AnyContainer, at: Place): string[] {
  const warnings: string[] = [];
  for (const name of ["memory", "ephemeral-storage"]) {
    for (const kind of ["limits", "requests"] as const) {
      const amount = container.resources?.[kind]?.[name];
      if (amount === undefined || isWholeAmount(amount)) continue;
      warnings.push(fractional(at.child("resources").child(kind).key(name), amount));
    }
  }
  const names = new Set<string>();
  container.env?.forEach(({ name, value = "", valueFrom }, i) => {
    if (names.has(name)) {
      // X="$(X) and more" builds on the earlier one; X="$(X)" doesn't.
      const reference = `$(${name})`;
      if (valueFrom || value === reference || !value.includes(reference)) {
        const why = `hides previous definition of ${goQuote(name)}, which may be dropped when using apply`;
        warnings.push(`${at.child("env").index(i)}: ${why}`);
      }
    }
    names.add(name);
  });
  return warnings;
}

interface PlacedPort {
  readonly port: ContainerPort;
  readonly at: Place;
}

/** Across all containers, by port and protocol. */
export function portWarnings(spec: PodSpec, at: Place): string[] {
  const warnings: string[] = [];
  const known = new Map<string, PlacedPort[]>();
  visitContainers(spec, at, (container, place) => {
    container.ports?.forEach((port, i) => {
      const portAt = place.child("ports").index(i);
      if (port.hostIP && !port.hostPort) warnings.push(`${portAt}: hostIP set without hostPort: ${printPort(port)}`);
      const key = `${port.containerPort}/${port.protocol ?? ""}`;
      const others = known.get(key) ?? [];
      for (const other of others) {
        const clash = clashOf(port, other.port);
        if (clash) warnings.push(`${portAt}: ${clash} port definition with ${other.at}`);
      }
      known.set(key, [...others, { port, at: portAt }]);
    });
  });
  const named = new Map<string, Place>();
  visitContainers(spec, at, ({ ports }, place) => {
    ports?.forEach(({ name }, i) => {
      if (!name) return;
      const portAt = place.child("ports").index(i);
      const other = named.get(name);
      if (!other) named.set(name, portAt);
      else {
        const effect = `services and probes that select ports by name will use ${other}`;
        warnings.push(`${portAt}: duplicate port name ${goQuote(name)} with ${other}, ${effect}`);
      }
    });
  });
  return warnings;
}

function clashOf(port: ContainerPort, other: ContainerPort): string | undefined {
  const { hostIP = "", hostPort = 0 } = port;
  const { hostIP: otherIp = "", hostPort: otherPort = 0 } = other;
  if (hostIP === otherIp && hostPort === otherPort) return "duplicate";
  if (hostPort === 0 || otherPort === 0) return "overlapping";
  // One of them takes the port on every address.
  return hostPort === otherPort && (hostIP === "") !== (otherIp === "") ? "dangerously ambiguous" : undefined;
}

/** As Go prints the struct. */
const printPort = ({ name = "", hostPort = 0, containerPort, protocol = "", hostIP = "" }: ContainerPort): string =>
  `{Name:${name} HostPort:${hostPort} ContainerPort:${containerPort} Protocol:${protocol} HostIP:${hostIP}}`;
