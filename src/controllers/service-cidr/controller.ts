/**
 * Keeps ranges of Services: says that they are ready, and holds one that is being deleted until no address would be left without a range.
 * Follows pkg/controller/servicecidrs.
 */
import type { IPAddress, ServiceCIDR } from "#api";
import type { WorkQueue } from "#client";
import { formatTime, timeMs } from "#machinery";
import { type Controller, defineController, watch } from "../lib/controller.ts";
import { nameOf, type Seen } from "../lib/objects.ts";
import { unlessGone } from "../lib/unless-gone.ts";
import { containing, mayGo, overlapping } from "./reconcile.ts";

const manager = "service-cidr-controller";
const finalizer = "networking.k8s.io/service-cidr-finalizer";
/** API servers may give out an address of the range until they heard that it goes. */
const graceMs = 10_000;

interface Condition {
  readonly status: "True" | "False";
  readonly reason: string;
  readonly message: string;
}

const ready: Condition = { status: "True", reason: "", message: "Kubernetes Service CIDR is ready" };
const terminating: Condition = {
  status: "False",
  reason: "Terminating",
  message: "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR",
};

export const serviceCidrController: Controller = defineController({
  name: "service-cidr-controller",
  account: "service-cidrs-controller",
  component: manager,
  create({ client, informers, events, clock }) {
    const ranges = informers.of("networking.k8s.io/v1/servicecidrs");
    // What people write themselves holds no range.
    const addresses = informers.of("networking.k8s.io/v1/ipaddresses", {
      labelSelector: "ipaddress.kubernetes.io/managed-by=ipallocator.k8s.io",
    });
    const own = client.resource("networking.k8s.io/v1/servicecidrs");

    async function setFinalizer(range: Seen<ServiceCIDR>, wanted: boolean): Promise<void> {
      if ((range.metadata.finalizers ?? []).includes(finalizer) === wanted) return;
      const change = wanted ? { finalizers: [finalizer] } : { "$deleteFromPrimitiveList/finalizers": [finalizer] };
      await unlessGone(own.patch(nameOf(range), { metadata: change }, { type: "strategic" }));
    }

    async function say(range: Seen<ServiceCIDR>, condition: Condition): Promise<void> {
      const known = range.status?.conditions?.find(({ type }) => type === "Ready");
      const { status, reason, message } = condition;
      if (known && known.status === status && (known.reason ?? "") === reason && known.message === message) return;
      const name = nameOf(range);
      const said = { type: "Ready", ...condition, lastTransitionTime: formatTime(clock.now()) };
      const applied = { metadata: { name }, status: { conditions: [said] } };
      const object = { apiVersion: "networking.k8s.io/v1", kind: "ServiceCIDR", ...applied };
      await own.patch(name, object, { type: "apply", subresource: "status", fieldManager: manager, force: true });
    }

    async function reconcile(name: string, queue: WorkQueue): Promise<void> {
      const range = ranges.get(name);
      if (!range) return;
      const { deletionTimestamp } = range.metadata;
      if (deletionTimestamp === undefined) {
        await setFinalizer(range, true);
        try {
          await say(range, ready);
        } catch (error) {
          const message = "The ServiceCIDR Status can not be set to Ready=True";
          events.event(range, { type: "Warning", reason: "KubernetesServiceCIDRError", message });
          throw error;
        }
        return;
      }
      if (!mayGo(range, ranges.list(), addresses.list().map(nameOf))) return say(range, terminating);
      const leftMs = timeMs(deletionTimestamp) + graceMs - clock.now();
      if (leftMs > 0) return queue.addAfter(name, leftMs);
      await setFinalizer(range, false);
    }

    return [
      {
        watches(queue: WorkQueue) {
          const mark = (range: Seen<ServiceCIDR>) => queue.add(nameOf(range));
          const markContaining = (address: Seen<IPAddress>) => containing(nameOf(address), ranges.list()).forEach(mark);
          return [
            watch(ranges, {
              added(range) {
                mark(range);
                // It may hold the addresses of one that is being deleted.
                overlapping(range, ranges.list()).forEach(mark);
              },
              updated: mark,
              deleted: mark,
            }),
            watch(addresses, { added: markContaining, deleted: markContaining }),
          ];
        },
        reconcile,
      },
    ];
  },
});
