/**
 * Keeps one EndpointSlice of `kube-dns` for each node that runs a DNS server; nodes themselves may not write there. None, when that Service
 * selects pods.
 */
import { type Controller, defineController, watch } from "../lib/controller.ts";
import type { SeenNode } from "../lib/nodes.ts";
import { nameOf } from "../lib/objects.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import { dnsNamespace, dnsService, managedBy, sliceName, sliceOf } from "./reconcile.ts";

export const clusterDnsController: Controller = defineController({
  name: "cluster-dns-controller",
  account: "cluster-dns",
  create({ client, informers }) {
    const nodes = informers.of("v1/nodes");
    const slices = informers.of("discovery.k8s.io/v1/endpointslices");
    const services = informers.of("v1/services");
    /** Then pods answer, and the nodes' servers aren't behind it any more. */
    const hasPods = () => Object.keys(services.get(`${dnsNamespace}/${dnsService}`)?.spec?.selector ?? {}).length > 0;
    const addressOf = (node: SeenNode) => JSON.stringify(sliceOf(node)?.endpoints);
    const prefix = sliceName("");
    return [
      {
        watches(queue) {
          const mark = (node: SeenNode) => queue.add(nameOf(node));
          const markSlice = ({ metadata }: { metadata?: { name?: string; namespace?: string } }) => {
            const { name = "", namespace } = metadata ?? {};
            if (namespace === dnsNamespace && name.startsWith(prefix)) queue.add(name.slice(prefix.length));
          };
          const markAll = ({ metadata }: { metadata?: { name?: string; namespace?: string } }) => {
            if (metadata?.namespace !== dnsNamespace || metadata.name !== dnsService) return;
            for (const node of nodes.list()) mark(node);
          };
          return [
            watch(nodes, {
              added: mark,
              // Nodes say each few minutes how they are.
              updated: (node, old) => addressOf(node) === addressOf(old) || mark(node),
              deleted: mark,
            }),
            watch(services, { added: markAll, updated: markAll, deleted: markAll }),
            watch(slices, { added: markSlice, updated: markSlice, deleted: markSlice }),
          ];
        },
        async reconcile(name) {
          const node = nodes.get(name);
          const wanted = node && !hasPods() ? sliceOf(node) : undefined;
          const found = slices.get(`${dnsNamespace}/${sliceName(name)}`);
          if (found && found.metadata.labels?.["endpointslice.kubernetes.io/managed-by"] !== managedBy) return;
          const access = client.resource("discovery.k8s.io/v1/endpointslices", dnsNamespace);
          if (!wanted) {
            if (found) await unlessGone(access.delete(sliceName(name)));
          } else if (!found) await access.create(wanted);
          else if (JSON.stringify(found.endpoints) !== JSON.stringify(wanted.endpoints))
            await unlessGone(access.patch(sliceName(name), { endpoints: wanted.endpoints }, { type: "merge" }));
        },
      },
    ];
  },
});
