/** Ports of containers, and the host's ports behind them. */
import { isPortName, isPortNumber } from "#machinery";
import type { Place } from "../place.ts";
import type { Container, ContainerPort, PodSpec } from "../types.d.ts";

export const protocols = ["SCTP", "TCP", "UDP"];

export function validatePorts(ports: readonly ContainerPort[], at: Place): void {
  const names = new Set<string>();
  ports.forEach((port, i) => {
    const place = at.index(i);
    if (port.name) {
      const messages = isPortName(port.name);
      if (messages.length > 0) place.child("name").invalidEach(port.name, messages);
      else if (names.has(port.name)) place.child("name").duplicate(port.name);
      else names.add(port.name);
    }
    if (!port.containerPort) place.child("containerPort").required();
    else place.child("containerPort").invalidEach(port.containerPort, isPortNumber(port.containerPort));
    if (port.hostPort) place.child("hostPort").invalidEach(port.hostPort, isPortNumber(port.hostPort));
    if (!port.protocol) place.child("protocol").required();
    else if (!protocols.includes(port.protocol)) place.child("protocol").notSupported(port.protocol, protocols);
  });
}

/** A host port belongs to one container of those that run together. `at` is the list of containers. */
export function validateHostPorts(containers: readonly Container[], at: Place): void {
  let taken: Set<string> | undefined;
  containers.forEach((container, i) => {
    container.ports?.forEach((port, j) => {
      if (!port.hostPort) return;
      taken ??= new Set();
      const key = `${port.protocol ?? ""}/${port.hostIP ?? ""}/${port.hostPort}`;
      if (taken.has(key)) at.index(i).child("ports").index(j).child("hostPort").duplicate(key);
      taken.add(key);
    });
  });
}

/** On the host's network a container's port is the host's; a template may leave it out, the pod gets it filled in. */
export function validateHostNetworkPorts(spec: PodSpec, at: Place, { isPod }: { isPod: boolean }): void {
  if (!spec.hostNetwork) return;
  spec.containers?.forEach((container, i) => {
    container.ports?.forEach(({ hostPort = 0, containerPort }, j) => {
      if ((isPod || hostPort !== 0) && hostPort !== containerPort) {
        const place = at.child("containers").index(i).child("ports").index(j).child("hostPort");
        place.invalid(hostPort, "must match `containerPort` when `hostNetwork` is true");
      }
    });
  });
}
