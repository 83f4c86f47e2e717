/** Ports of a service: each by itself, and that no two are the same. */
import { isDns1123Label, isPortNumber, isQualifiedName } from "#machinery";
import type { Place } from "../../place.ts";
import { protocols } from "../../pod-spec/ports.ts";
import { validatePort } from "../../pod-spec/probes.ts";
import type { ServicePort, ServiceSpec } from "../../types.d.ts";

export function validateServicePorts({ ports = [] }: ServiceSpec, at: Place): void {
  const names = new Set<string>();
  ports.forEach((port, i) => {
    validateServicePort(port, at.index(i), { names, needsName: ports.length > 1 });
  });
}

function validateServicePort(
  { name = "", port = 0, protocol = "", targetPort, appProtocol }: ServicePort,
  at: Place,
  { names, needsName }: { names: Set<string>; needsName: boolean },
): void {
  if (name !== "") {
    at.child("name").invalidEach(name, isDns1123Label(name));
    if (names.has(name)) at.child("name").duplicate(name);
    names.add(name);
  } else if (needsName) at.child("name").required();
  at.child("port").invalidEach(port, isPortNumber(port));
  if (protocol === "") at.child("protocol").required();
  else if (!protocols.includes(protocol)) at.child("protocol").notSupported(protocol, protocols);
  validatePort(targetPort, at.child("targetPort"));
  if (appProtocol !== undefined) at.child("appProtocol").invalidEach(appProtocol, isQualifiedName(appProtocol));
}

/** Node ports that are taken twice are found when they are allocated. */
export function validatePortNumbers({ type, ports = [] }: ServiceSpec, at: Place): void {
  ports.forEach(({ nodePort }, i) => {
    if (type !== "ClusterIP" || !nodePort) return;
    at.index(i).child("nodePort").forbidden("may not be used when `type` is 'ClusterIP'");
  });
  const seen = new Set<string>();
  ports.forEach(({ port, protocol = "" }, i) => {
    const key = `${protocol}/${port}`;
    if (seen.has(key)) at.index(i).duplicate(printPort(protocol, port));
    seen.add(key);
  });
}

/** As Go prints a struct with only these two. */
const printPort = (Protocol: string, Port: number) => ({
  Name: "",
  Protocol,
  AppProtocol: null,
  Port,
  TargetPort: 0,
  NodePort: 0,
});
