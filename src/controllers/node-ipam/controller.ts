/** Gives each node its share of the pod network: `spec.podCIDRs`, one for each family. */
import type { WorkQueue } from "#client";
import { isStatusError } from "#machinery";
import { type Controller, defineController, watch } from "../lib/controller.ts";
import type { SeenNode } from "../lib/nodes.ts";
import { nameOf, uidOf } from "../lib/objects.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import { type Cidr, CidrError, CidrSet, parseCidr, printCidr } from "./cidr-set.ts";

/** A node's share: 254 pod addresses, or a whole IPv6 subnet. */
const nodePrefixIpv4 = 24;
const nodePrefixIpv6 = 64;

export const nodeIpamController: Controller = defineController({
  name: "node-ipam-controller",
  account: "node-controller",
  create({ client, informers, events, log, options }) {
    const {
      clusterCidrs = [],
      serviceCidrs = [],
      nodeMasks,
      fixedPodCidrs = new Map<string, readonly string[]>(),
    } = options;
    if (clusterCidrs.length === 0) return [];
    const nodes = informers.of("v1/nodes");
    const sets = clusterCidrs.map((text) => {
      const cidr = parseCidr(text);
      return new CidrSet(
        cidr,
        Math.max(
          cidr.prefix,
          cidr.bits === 32 ? (nodeMasks?.ipv4 ?? nodePrefixIpv4) : (nodeMasks?.ipv6 ?? nodePrefixIpv6),
        ),
      );
    });
    const fixed = [...fixedPodCidrs.values()].flat();
    for (const text of [...serviceCidrs, ...fixed]) for (const set of sets) set.occupy(parseCidr(text));

    function eachCidr(node: SeenNode, run: (set: CidrSet, cidr: Cidr) => void): void {
      for (const [index, text] of (node.spec?.podCIDRs ?? []).entries()) {
        const set = sets[index];
        try {
          if (set) run(set, parseCidr(text));
          else log.warn("node has more pod networks than the cluster", { node: nameOf(node), cidr: text });
        } catch (error) {
          if (!(error instanceof CidrError)) throw error;
          log.warn("node has a pod network that is none", { node: nameOf(node), error });
        }
      }
    }

    // Before the first node is given a network, those of all others are known: handlers run before the queue does.
    const occupy = (node: SeenNode) =>
      eachCidr(node, (set, cidr) => {
        if (!set.occupy(cidr)) log.warn("node's pod network lies outside of the cluster's", { node: nameOf(node) });
      });

    /** By name, who got its networks: the cache may not show it yet. */
    const served = new Map<string, { readonly uid: string; release(): void }>();

    async function reconcile(name: string): Promise<void> {
      const node = nodes.get(name);
      if (!node || (node.spec?.podCIDRs ?? []).length > 0 || served.get(name)?.uid === uidOf(node)) return;
      const own = fixedPodCidrs.get(name)?.map(parseCidr);
      const shares = own ?? sets.map((set) => set.allocate());
      const release = () => {
        if (!own) for (const [index, share] of shares.entries()) if (share) sets[index]?.release(share);
      };
      if (shares.some((share) => share === undefined)) {
        release();
        events.event(node, {
          type: "Normal",
          reason: "CIDRNotAvailable",
          message: `Node ${name} status is now: CIDRNotAvailable`,
        });
        throw new Error(`no pod network is left for node ${name} in ${clusterCidrs.join(", ")}`);
      }
      const podCIDRs = shares.filter((share) => share !== undefined).map(printCidr);
      try {
        const patch = { metadata: { uid: node.metadata.uid }, spec: { podCIDR: podCIDRs[0], podCIDRs } };
        const patched = await unlessGone(client.resource("v1/nodes").patch(name, patch, { type: "strategic" }));
        if (!patched) return release();
        served.set(name, { uid: uidOf(node), release });
        log.info("node has a pod network", { node: name, podCIDRs: podCIDRs.join(",") });
      } catch (error) {
        // A refusal is certain; after anything else the node may have it, and it is safer lost than given twice.
        if (isStatusError(error)) release();
        throw error;
      }
    }

    return [
      {
        workers: 1,
        watches: (queue: WorkQueue) => [
          watch(nodes, {
            added(node) {
              occupy(node);
              queue.add(nameOf(node));
            },
            updated(node, old) {
              if (node.spec?.podCIDRs && !old.spec?.podCIDRs) occupy(node);
              queue.add(nameOf(node));
            },
            deleted(node) {
              const own = served.get(nameOf(node));
              if (own?.uid === uidOf(node)) served.delete(nameOf(node));
              // One that came and went between two lists was never seen with its networks.
              if (own?.uid === uidOf(node) && !node.spec?.podCIDRs?.length) own.release();
              else eachCidr(node, (set, cidr) => fixed.includes(printCidr(cidr)) || set.release(cidr));
            },
          }),
        ],
        reconcile,
      },
    ];
  },
});
