/** Node ports and health-check ports of a Service: which it needs, which it keeps, which it gives back. Follows pkg/registry/core/service/storage/alloc.go. */
import type { Service, ServicePort, ServiceSpec } from "#api";
import { type DeepReadonly, FieldPath, fieldError, statusError } from "#machinery";
import { invalid, plainError } from "../registry/errors.ts";
import type { ReservedKeys } from "../registry/reserved-keys.ts";
import { PortClaim, type PortTable, portKey } from "./port-table.ts";

type Spec = DeepReadonly<ServiceSpec>;

const usesNodePorts = (spec: Spec | undefined): boolean => spec?.type === "NodePort" || spec?.type === "LoadBalancer";
const needsHealthPort = (spec: Spec | undefined): boolean =>
  spec?.type === "LoadBalancer" && spec.externalTrafficPolicy === "Local";

export function nodePortsOf(spec: Spec | undefined): Set<number> {
  const ports = new Set<number>();
  for (const { nodePort } of spec?.ports ?? []) if (nodePort) ports.add(nodePort);
  if (needsHealthPort(spec) && spec?.healthCheckNodePort) ports.add(spec.healthCheckNodePort);
  return ports;
}

export interface PortRequest {
  /** Undefined: it goes. May be changed. */
  readonly service: Service | undefined;
  readonly before: Spec | undefined;
  readonly dryRun: boolean;
}

export async function allocatePorts(
  table: PortTable,
  { service, before, dryRun }: PortRequest,
  keys: ReservedKeys,
): Promise<void> {
  const had = nodePortsOf(before);
  const spec = service?.spec;
  if (service && spec && (usesNodePorts(spec) || needsHealthPort(spec))) {
    const claim = new PortClaim({ range: table.range, used: await table.used(), dryRun });
    if (usesNodePorts(spec)) {
      if (before) assignChangedPorts({ service, spec, claim }, had);
      else assignNewPorts({ service, spec, claim });
    }
    if (needsHealthPort(spec)) assignHealthPort(spec, claim, before);
  }
  // Only those of a type that uses them; what a ClusterIP Service still names, validation refuses.
  const wants = usesNodePorts(spec) ? nodePortsOf(spec) : new Set<number>();
  const { name, namespace } = service?.metadata ?? {};
  for (const port of wants) if (!had.has(port)) keys.take(portKey(port), Buffer.from(`${namespace}/${name}`));
  for (const port of had) if (!wants.has(port)) keys.release(portKey(port));
}

interface Assignment {
  readonly service: Service;
  readonly spec: ServiceSpec;
  readonly claim: PortClaim;
}

const assignsPorts = ({ type, allocateLoadBalancerNodePorts }: Spec): boolean =>
  type !== "LoadBalancer" || allocateLoadBalancerNodePorts !== false;

/** Of a new Service: TCP and UDP of one port number share a node port. */
function assignNewPorts({ service, spec, claim }: Assignment): void {
  const shared = new Map<number, number>();
  const ports = spec.ports ?? [];
  ports.forEach((port, position) => {
    const own = port.nodePort ?? 0;
    if (own === 0 && !assignsPorts(spec)) return;
    const partner = shared.get(port.port);
    if (partner !== undefined) {
      if (own === 0) port.nodePort = partner;
      else if (own !== partner) takePort(service, claim, { position, port: own });
      return;
    }
    const wanted = requested(ports, port.port);
    if (wanted !== 0) takePort(service, claim, { position, port: wanted });
    port.nodePort = wanted !== 0 ? wanted : nextPort(claim);
    shared.set(port.port, port.nodePort);
  });
}

/** Of a changed Service: what it had it keeps. */
function assignChangedPorts({ service, spec, claim }: Assignment, had: ReadonlySet<number>): void {
  const taken = new Set<number>();
  const seen = new Set<string>();
  (spec.ports ?? []).forEach((port, position) => {
    const own = port.nodePort ?? 0;
    if (own === 0 && !assignsPorts(spec)) return;
    if (own === 0) port.nodePort = nextPort(claim);
    else if (!had.has(own) && !taken.has(own)) takePort(service, claim, { position, port: own });
    taken.add(port.nodePort ?? 0);
    const both = `{${port.protocol} ${port.nodePort}}`;
    if (seen.has(both)) throw plainError(`duplicate nodePort: ${both}`);
    seen.add(both);
  });
}

function takePort(service: Service, claim: PortClaim, { position, port }: { position: number; port: number }): void {
  const wrong = claim.take(port);
  if (wrong === undefined) return;
  const path = FieldPath.root("spec").child("ports").index(position).child("nodePort");
  throw invalid({ group: "", kind: "Service" }, service.metadata.name ?? "", [fieldError.invalid(path, port, wrong)]);
}

function nextPort(claim: PortClaim): number {
  const next = claim.next();
  if (next === undefined) throw statusError.internal("failed to allocate a nodePort: range is full");
  return next;
}

const requested = (ports: readonly ServicePort[], number: number): number =>
  ports.find(({ port, nodePort }) => port === number && nodePort)?.nodePort ?? 0;

function assignHealthPort(spec: ServiceSpec, claim: PortClaim, before: Spec | undefined): void {
  // Once it has one, it keeps that: whether it may change is a matter of validation.
  if (needsHealthPort(before)) return;
  const port = spec.healthCheckNodePort ?? 0;
  if (port !== 0) {
    const wrong = claim.take(port);
    if (wrong !== undefined)
      throw statusError.internal(`failed to allocate requested HealthCheck NodePort ${port}: ${wrong}`);
    return;
  }
  const next = claim.next();
  if (next === undefined) throw statusError.internal("failed to allocate a HealthCheck NodePort 0: range is full");
  spec.healthCheckNodePort = next;
}
