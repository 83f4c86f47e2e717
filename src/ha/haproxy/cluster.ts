/** What a cluster wants of a haproxy in front of it, followed by informers. */
import type { EndpointSlice, LoadBalancerIngress } from "#api";
import type { Clock, Logger } from "#base";
import { type Client, createEventRecorder, type InformerSet } from "#client";
import { type DeepReadonly, isStatusError, jsonEqual } from "#machinery";
import type { Balanced, Server } from "./model.ts";
import { haproxyClass, keyOfService, nodeFacts, planServices, type ServicesOptions } from "./services.ts";

export interface ClusterOptions {
  readonly client: Client;
  readonly informers: InformerSet;
  /** Undefined: Services aren't balanced. */
  readonly services: Omit<ServicesOptions, "taken"> | undefined;
  /** Undefined: API servers aren't balanced. */
  readonly apiservers:
    | {
        readonly binds: readonly string[];
        readonly port: number;
        /** Those that are known; without any they are found in the cluster. */
        readonly servers: readonly Server[];
        /** File of the authority that signs their certificates. */
        readonly ca: string | undefined;
      }
    | undefined;
  readonly statsPort: number | undefined;
  /** Shown as the addresses of Services of class `sampan.dev/haproxy`. */
  readonly publish: readonly LoadBalancerIngress[];
  readonly clock: Clock;
  readonly log: Logger;
}

export interface FollowedCluster {
  synced(): Promise<void>;
  /** As it is now. */
  plan(): Balanced[];
  /** Calls `changed` once for all changes of a turn of the event loop; answers how to stop. */
  follow(changed: () => void): () => void;
  /** Tells Services what haproxy does for them. */
  report(running: readonly Balanced[], refused: ReadonlyMap<string, string>): Promise<void>;
  close(): Promise<void>;
}

export const apiserversName = "apiservers";

export function balancedApiServers(
  { binds, port, ca }: NonNullable<ClusterOptions["apiservers"]>,
  servers: readonly Server[],
): Balanced {
  const check = { kind: "https", path: "/readyz", ca } as const;
  return { name: apiserversName, binds, port, servers, check, sources: [], sticky: false, endsWithServer: true };
}

export function followCluster(options: ClusterOptions): FollowedCluster {
  const { client, informers, apiservers, clock, log } = options;
  const services = options.services && informers.of("v1/services");
  const nodes = options.services && informers.of("v1/nodes");
  // The Service's own slices: peers that are gone leave none behind, whatever they are called.
  const slices =
    apiservers && apiservers.servers.length === 0
      ? informers.of("discovery.k8s.io/v1/endpointslices", {
          namespace: "default",
          labelSelector: "kubernetes.io/service-name=kubernetes",
        })
      : undefined;
  const events = createEventRecorder({ client, component: "sampan-lb", clock, log });
  const taken = new Map([
    ...(apiservers ? [[apiservers.port, "the API servers"] as const] : []),
    ...(options.statsPort === undefined ? [] : [[options.statsPort, "the page of statistics"] as const]),
  ]);
  let last: ReturnType<typeof planServices> | undefined;
  const said = new Map<string, string>();

  function plan(): Balanced[] {
    last =
      options.services && services && nodes
        ? planServices(services.list(), nodes.list(), { ...options.services, taken })
        : undefined;
    const found = slices ? slices.list().flatMap(serversOf) : (apiservers?.servers ?? []);
    return [...(apiservers ? [balancedApiServers(apiservers, found)] : []), ...(last?.balanced ?? [])];
  }

  async function publish(running: ReadonlySet<string>): Promise<void> {
    const ours = new Set(
      [...(last?.serviceOf ?? [])].flatMap(([name, each]) => (running.has(name) ? [keyOfService(each)] : [])),
    );
    for (const service of services?.list() ?? []) {
      if (service.spec?.type !== "LoadBalancer" || service.spec.loadBalancerClass !== haproxyClass) continue;
      const wanted = ours.has(keyOfService(service)) ? options.publish : [];
      const shown = (service.status?.loadBalancer?.ingress ?? []).map(({ ip, hostname, ipMode }) => ({
        ip,
        hostname,
        ipMode,
      }));
      if (
        jsonEqual(
          shown,
          wanted.map(({ ip, hostname, ipMode }) => ({ ip, hostname, ipMode })),
        )
      )
        continue;
      const { uid, name = "", namespace = "" } = service.metadata;
      const patch = { metadata: { uid }, status: { loadBalancer: { ingress: wanted.length > 0 ? wanted : null } } };
      try {
        await client.resource("v1/services", namespace).patch(name, patch, { type: "merge", subresource: "status" });
      } catch (error) {
        if (!isStatusError(error, "NotFound"))
          log.error("can't publish an address", { service: `${namespace}/${name}`, error: String(error) });
      }
    }
  }

  function complain(refused: ReadonlyMap<string, string>): void {
    const all = [
      ...(last?.problems ?? []),
      ...[...refused].flatMap(([name, why]) => {
        const service = last?.serviceOf.get(name);
        return service ? [{ service, port: 0, why }] : [];
      }),
    ];
    const now = new Set(all.map(({ service, port }) => `${keyOfService(service)} ${port}`));
    for (const key of said.keys()) if (!now.has(key)) said.delete(key);
    for (const { service, port, why } of all) {
      const key = `${keyOfService(service)} ${port}`;
      if (said.get(key) === why) continue;
      said.set(key, why);
      log.warn("a Service isn't balanced", { service: keyOfService(service), port, why });
      const message = `Error syncing load balancer: failed to ensure load balancer: ${why}`;
      events.event(service, { type: "Warning", reason: "SyncLoadBalancerFailed", message });
    }
  }

  return {
    plan,
    async synced() {
      await Promise.all([services?.synced(), nodes?.synced(), slices?.synced()]);
    },
    follow(changed) {
      let isMarked = false;
      const mark = () => {
        if (isMarked) return;
        isMarked = true;
        setImmediate(() => {
          isMarked = false;
          changed();
        });
      };
      const type = options.services?.addressType ?? "";
      const exposed = ({ spec }: DeepReadonly<{ spec?: { type?: string } }>) =>
        spec?.type === "LoadBalancer" || spec?.type === "NodePort";
      const stops = [
        services?.addHandler({
          added: (service) => exposed(service) && mark(),
          updated: (service, old) => (exposed(service) || exposed(old)) && mark(),
          deleted: (service) => exposed(service) && mark(),
        }),
        nodes?.addHandler({
          added: mark,
          updated: (node, old) => nodeFacts(node, type) === nodeFacts(old, type) || mark(),
          deleted: mark,
        }),
        slices?.addHandler({ added: mark, updated: mark, deleted: mark }),
      ];
      return () => {
        for (const stop of stops) stop?.();
      };
    },
    async report(running, refused) {
      complain(refused);
      if (options.publish.length > 0) await publish(new Set(running.map(({ name }) => name)));
    },
    close: () => events.close(),
  };
}

function serversOf({ endpoints, ports }: DeepReadonly<EndpointSlice>): Server[] {
  const port = ports?.find(({ name }) => name === "https")?.port ?? ports?.[0]?.port;
  if (!port) return [];
  return (endpoints ?? [])
    .filter(({ conditions }) => conditions?.ready !== false)
    .flatMap(({ addresses }) => addresses.map((address) => ({ address, port })));
}
