/**
 * Addresses and node ports of Services. Each one in use is a key of its own, written in the same transaction as the Service: two servers
 * can't give out the same, nothing has to be repaired after a crash, and a Service that goes takes its keys along.
 * Addresses are the IPAddress objects that upstream has since 1.33; node ports have no object, so their keys are only ours.
 * Which fields are filled in, and the refusals, follow pkg/registry/core/service/storage/alloc.go.
 */
import { randomInt, randomUUID } from "node:crypto";
import type { Service, ServicePort, ServiceSpec } from "#api";
import type { Clock } from "#base";
import {
  type DeepReadonly,
  type FieldError,
  FieldPath,
  fieldError,
  type KubernetesObject,
  statusError,
} from "#machinery";
import type { Operation, Store } from "#store";
import type { Lookup } from "../admission/chain.ts";
import { encodeValue } from "../cache/encode.ts";
import { storageKey } from "../resource.ts";
import type { HookRequest, KindHooks } from "./core.ts";
import { invalid, plainError } from "./errors.ts";
import { rfc3339 } from "./rfc3339.ts";
import type { ServiceRange } from "./service-range.ts";
import type { SideWrites } from "./storage.ts";

export const nodePorts = { min: 30_000, max: 32_767 } as const;
const nodePortPrefix = "/registry/nodeports/";

export interface ServiceAllocatorOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly lookup: Lookup;
  readonly range: ServiceRange;
}

type Spec = DeepReadonly<ServiceSpec>;

export function serviceAllocator(options: ServiceAllocatorOptions): KindHooks {
  return { allocate: (request) => allocate(options, request) };
}

async function allocate(
  options: ServiceAllocatorOptions,
  { object, old, dryRun }: HookRequest,
): Promise<SideWrites | undefined> {
  // The registry calls this for Services only.
  const service = object as Service | undefined;
  const before = (old as DeepReadonly<Service> | undefined)?.spec;
  const side = new Side();
  await allocateAddresses(options, service, before, side);
  await allocatePorts(options, service, before, side);
  return dryRun || side.empty ? undefined : side;
}

/** Keys that come and go with the Service. */
class Side implements SideWrites {
  readonly compare: { key: string; modRevision: number }[] = [];
  readonly operations: Operation[] = [];

  get empty(): boolean {
    return this.operations.length === 0;
  }

  take(key: string, value: Uint8Array): void {
    this.compare.push({ key, modRevision: 0 });
    this.operations.push({ type: "put", key, value });
  }

  release(key: string): void {
    this.operations.push({ type: "delete", key });
  }
}

const addressesOf = (spec: Spec | undefined): readonly string[] =>
  spec === undefined || spec.type === "ExternalName"
    ? []
    : (spec.clusterIPs ?? []).filter((address) => address !== "None" && address !== "");

async function allocateAddresses(
  { lookup, clock, range }: ServiceAllocatorOptions,
  service: Service | undefined,
  before: Spec | undefined,
  side: Side,
): Promise<void> {
  const kind = lookup.kind("networking.k8s.io", "ipaddresses");
  const had = addressesOf(before);
  const spec = service?.spec;
  const headless = spec?.clusterIPs?.[0] === "None";
  const taken = async (address: string) => (await lookup.get(kind, "", address)) !== undefined;
  if (spec && spec.type !== "ExternalName" && !headless && addressesOf(spec).length === 0) {
    const address = await findFree(range.candidates(randomInt), taken);
    if (address === undefined) throw statusError.internal("failed to allocate a serviceIP: range is full");
    spec.clusterIP = address;
    spec.clusterIPs = [address];
  }
  const wants = addressesOf(spec);
  for (const address of wants) {
    if (had.includes(address)) continue;
    const refuse = (why: string) =>
      invalid({ group: "", kind: "Service" }, service?.metadata.name ?? "", [
        fieldError.invalid(
          FieldPath.root("spec").child("clusterIPs"),
          wants,
          `failed to allocate IP ${address}: ${why}`,
        ),
      ]);
    if (!range.contains(address)) {
      throw refuse(`the provided IP (${address}) is not in the valid range. The range of valid IPs is ${range.text}`);
    }
    if (await taken(address)) throw refuse("provided IP is already allocated");
    side.take(storageKey(kind, "", address), encodeValue(kind, ipAddress(address, service, clock.now())));
  }
  for (const address of had) {
    if (!wants.includes(address) && (await taken(address))) side.release(storageKey(kind, "", address));
  }
}

async function findFree(
  candidates: Iterable<string>,
  taken: (address: string) => Promise<boolean>,
): Promise<string | undefined> {
  for (const address of candidates) if (!(await taken(address))) return address;
  return undefined;
}

function ipAddress(address: string, service: Service | undefined, now: number): KubernetesObject & { spec: object } {
  const { name, namespace } = service?.metadata ?? {};
  return {
    kind: "IPAddress",
    apiVersion: "networking.k8s.io/v1",
    metadata: {
      name: address,
      uid: randomUUID(),
      creationTimestamp: rfc3339(now),
      labels: {
        "ipaddress.kubernetes.io/ip-family": "IPv4",
        "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
      },
    },
    spec: { parentRef: { resource: "services", namespace, name } },
  };
}

const usesNodePorts = (spec: Spec | undefined): boolean => spec?.type === "NodePort" || spec?.type === "LoadBalancer";
const needsHealthPort = (spec: Spec | undefined): boolean =>
  spec?.type === "LoadBalancer" && spec.externalTrafficPolicy === "Local";

function portsOf(spec: Spec | undefined): Set<number> {
  const ports = new Set<number>();
  for (const { nodePort } of spec?.ports ?? []) if (nodePort) ports.add(nodePort);
  if (needsHealthPort(spec) && spec?.healthCheckNodePort) ports.add(spec.healthCheckNodePort);
  return ports;
}

async function allocatePorts(
  { store }: ServiceAllocatorOptions,
  service: Service | undefined,
  before: Spec | undefined,
  side: Side,
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
  for (const port of wants) if (!had.has(port)) side.take(nodePortPrefix + port, Buffer.from(`${namespace}/${name}`));
  for (const port of had) if (!wants.has(port)) side.release(nodePortPrefix + port);
}

class PortPool {
  readonly #used: Set<number>;

  constructor(used: readonly number[], own: ReadonlySet<number>) {
    this.#used = new Set(used.filter((port) => !own.has(port)));
  }

  /** Undefined: it is the caller's now. */
  take(port: number): string | undefined {
    if (port < nodePorts.min || port > nodePorts.max) {
      return `provided port is not in the valid range. The range of valid ports is ${nodePorts.min}-${nodePorts.max}`;
    }
    if (this.#used.has(port)) return "provided port is already allocated";
    this.#used.add(port);
    return undefined;
  }

  next(): number | undefined {
    const count = nodePorts.max - nodePorts.min + 1;
    // People choose low ones: the lowest 86 are left to them, as upstream does with this range.
    const band = 86;
    return this.#search(nodePorts.min + band, count - band) ?? this.#search(nodePorts.min, band);
  }

  #search(from: number, count: number): number | undefined {
    const start = randomInt(count);
    for (let i = 0; i < count; i++) {
      const port = from + ((start + i) % count);
      if (!this.#used.has(port)) {
        this.#used.add(port);
        return port;
      }
    }
    return undefined;
  }
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
