/**
 * For a DNS server that runs alone: what DNS doesn't look at is dropped from Services, EndpointSlices and Namespaces as they arrive, and
 * what many of them share is kept once; lists come in pages, so that none is ever held whole. A node's own DNS shares its informers with
 * the proxy instead.
 */
import type { EndpointSlice, Service } from "#api";
import type { KubernetesList, KubernetesObject, Transport } from "#machinery";

/** Objects of a page: some hundred kilobytes as text. */
const pageMax = 250;
/** Of what is kept once: protects memory from values that are all different. */
const sharedMax = 1000;

const slims: Readonly<Record<string, (object: KubernetesObject, share: Share) => object>> = {
  "/api/v1/services": (object, share) => {
    const { spec = {} } = object as Service; // of this path
    const { type, clusterIP, clusterIPs, externalName, publishNotReadyAddresses, ports = [] } = spec;
    // One address stands in `clusterIP` already.
    const several = (clusterIPs?.length ?? 0) > 1 ? { clusterIPs } : {};
    return {
      ...(type === "ExternalName" ? { type, externalName } : { clusterIP, ...several }),
      ...(publishNotReadyAddresses && { publishNotReadyAddresses }),
      ports: share(ports.map(({ name, port, protocol }) => ({ name, port, protocol }))),
    };
  },
  "/apis/discovery.k8s.io/v1/endpointslices": (object, share) => {
    const { endpoints, ports } = object as EndpointSlice; // of this path
    return {
      endpoints: (endpoints ?? []).map(({ addresses, hostname, conditions }) => ({
        addresses,
        ...(hostname !== undefined && { hostname }),
        ...(conditions?.ready === false && { conditions: notReady }),
      })),
      ports: share((ports ?? []).map(({ name, port, protocol }) => ({ name, port, protocol }))),
    };
  },
  "/api/v1/namespaces": () => ({}),
};
const notReady = { ready: false };
const serviceLabel = "kubernetes.io/service-name";

type Share = <T>(value: T) => T;

export function slimTransport(transport: Transport): Transport {
  const shared = new Map<string, unknown>();
  const share: Share = (value) => {
    const text = JSON.stringify(value);
    const found = shared.get(text);
    if (found !== undefined) return found as typeof value; // what had this text
    if (shared.size >= sharedMax) shared.clear();
    shared.set(text, value);
    return value;
  };
  const slim = (path: string, object: KubernetesObject): KubernetesObject => {
    const { name, namespace, resourceVersion, labels } = object.metadata ?? {};
    const rest = slims[path]?.(object, share);
    if (!rest) return object;
    const of = labels?.[serviceLabel];
    const metadata = {
      name,
      ...(namespace !== undefined && { namespace: share(namespace) }),
      resourceVersion,
      ...(of !== undefined && { labels: { [serviceLabel]: of } }),
    };
    const { spec, ...more } = path === "/api/v1/services" ? { spec: rest } : { spec: undefined, ...rest };
    return { metadata, ...(spec && { spec }), ...more } as KubernetesObject; // the same kind, with less in it
  };
  return {
    close: () => transport.close(),
    async request(request) {
      const { method, path, query } = request;
      if (method !== "GET" || !(path in slims)) return transport.request(request);
      const items: KubernetesObject[] = [];
      const { resourceVersion: _cached, ...selectors } = query ?? {};
      for (let next: string | undefined; ; ) {
        const paging = { ...selectors, limit: pageMax, ...(next !== undefined && { continue: next }) };
        const page = (await transport.request({ ...request, query: paging })) as KubernetesList; // a collection's GET
        for (const item of page.items ?? []) items.push(slim(path, item));
        next = page.metadata.continue;
        // Without the kind, which readers would put into each object.
        if (!next) return { metadata: page.metadata, items };
      }
    },
    watch: (request, onEvent) =>
      transport.watch(request, (event) =>
        onEvent(
          event.type === "ERROR" || event.type === "BOOKMARK"
            ? event
            : { ...event, object: slim(request.path, event.object as KubernetesObject) }, // of the watched kind
        ),
      ),
  };
}
