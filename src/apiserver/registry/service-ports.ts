/** Node ports of Services: each in use is a key of ours, since upstream has no object for them. */
import type { Service, ServicePort, ServiceSpec } from "#api";
import { type DeepReadonly, type FieldError, FieldPath, fieldError, statusError } from "#machinery";
import type { Store } from "#store";
import { invalid, plainError } from "./errors.ts";
import { PortPool } from "./port-pool.ts";
import type { ReservedKeys } from "./reserved-keys.ts";

const nodePortPrefix = "/registry/nodeports/";

type Spec = DeepReadonly<ServiceSpec>;

const usesNodePorts = (spec: Spec | undefined): boolean => spec?.type === "NodePort" || spec?.type === "LoadBalancer";
const needsHealthPort = (spec: Spec | undefined): boolean =>
  spec?.type === "LoadBalancer" && spec.externalTrafficPolicy === "Local";

function portsOf(spec: Spec | undefined): Set<number> {
  const ports = new Set<number>();
  for (const { nodePort } of spec?.ports ?? []) if (nodePort) ports.add(nodePort);
  if (needsHealthPort(spec) && spec?.healthCheckNodePort) ports.add(spec.healthCheckNodePort);
  return ports;
}

export async function allocatePorts(
  store: Store,
  service: Service | undefined,
  before: Spec | undefined,
  keys: ReservedKeys,
): Promise<void> {
  const had = portsOf(before);
  const spec = service?.spec;
  if (!usesNodePorts(spec) && portsOf(spec).size === 0 && had.size === 0) return;
  const { items } = await store.range({
    start: nodePortPrefix,
    end: `${nodePortPrefix.slice(0, -1)}0`,
    keysOnly: true,
  });
  const pool = new PortPool(
    items.map(({ key }) => Number(key.slice(nodePortPrefix.length))),
    had,
  );
  if (service && spec && usesNodePorts(spec)) {
    if (before) assignChangedPorts({ service, spec, pool }, had);
    else assignNewPorts({ service, spec, pool });
  }
  if (spec && needsHealthPort(spec)) assignHealthPort(spec, pool, before);
  const wants = portsOf(spec);
  const { name, namespace } = service?.metadata ?? {};
  for (const port of wants) if (!had.has(port)) keys.take(nodePortPrefix + port, Buffer.from(`${namespace}/${name}`));
  for (const port of had) if (!wants.has(port)) keys.release(nodePortPrefix + port);
}

interface Assignment {
  readonly service: Service;
  readonly spec: ServiceSpec;
  readonly pool: PortPool;
}

const assignsPorts = ({ type, allocateLoadBalancerNodePorts }: Spec): boolean =>
  type !== "LoadBalancer" || allocateLoadBalancerNodePorts !== false;

/** Of a new Service: TCP and UDP of one port number share a node port. */
function assignNewPorts({ service, spec, pool }: Assignment): void {
  const shared = new Map<number, number>();
  const ports = spec.ports ?? [];
  ports.forEach((port, position) => {
    const own = port.nodePort ?? 0;
    if (own === 0 && !assignsPorts(spec)) return;
    const partner = shared.get(port.port);
    if (partner !== undefined) {
      if (own === 0) port.nodePort = partner;
      else if (own !== partner) takePort(service, pool, { position, port: own });
      return;
    }
    const wanted = requested(ports, port.port);
    if (wanted !== 0) takePort(service, pool, { position, port: wanted });
    port.nodePort = wanted !== 0 ? wanted : nextPort(pool);
    shared.set(port.port, port.nodePort);
  });
}

/** Of a changed Service: what it had it keeps. */
function assignChangedPorts({ service, spec, pool }: Assignment, had: ReadonlySet<number>): void {
  const taken = new Set<number>();
  const seen = new Set<string>();
  (spec.ports ?? []).forEach((port, position) => {
    const own = port.nodePort ?? 0;
    if (own === 0 && !assignsPorts(spec)) return;
    if (own === 0) port.nodePort = nextPort(pool);
    else if (!had.has(own) && !taken.has(own)) takePort(service, pool, { position, port: own });
    taken.add(port.nodePort ?? 0);
    const both = `{${port.protocol} ${port.nodePort}}`;
    if (seen.has(both)) throw plainError(`duplicate nodePort: ${both}`);
    seen.add(both);
  });
}

function takePort(service: Service, pool: PortPool, { position, port }: { position: number; port: number }): void {
  const wrong = pool.take(port);
  if (wrong !== undefined) throw refusePort(service, position, port, wrong);
}

function nextPort(pool: PortPool): number {
  const next = pool.next();
  if (next === undefined) throw statusError.internal("failed to allocate a nodePort: range is full");
  return next;
}

const requested = (ports: readonly ServicePort[], number: number): number =>
  ports.find(({ port, nodePort }) => port === number && nodePort)?.nodePort ?? 0;

function refusePort(service: Service, position: number, port: number, why: string): Error {
  const path = FieldPath.root("spec").child("ports").index(position).child("nodePort");
  const errors: FieldError[] = [fieldError.invalid(path, port, why)];
  return invalid({ group: "", kind: "Service" }, service.metadata.name ?? "", errors);
}

function assignHealthPort(spec: ServiceSpec, pool: PortPool, before: Spec | undefined): void {
  const port = spec.healthCheckNodePort ?? 0;
  if (needsHealthPort(before) && before?.healthCheckNodePort === port) return;
  if (port !== 0) {
    const wrong = pool.take(port);
    if (wrong !== undefined)
      throw statusError.internal(`failed to allocate requested HealthCheck NodePort ${port}: ${wrong}`);
    return;
  }
  const next = pool.next();
  if (next === undefined) throw statusError.internal("failed to allocate a HealthCheck NodePort 0: range is full");
  spec.healthCheckNodePort = next;
}
