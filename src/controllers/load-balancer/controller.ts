/**
 * Gives Services of type LoadBalancer their addresses and keeps `status.loadBalancer` true; finalizer, events and names are those of
 * upstream's service controller. One worker: what one Service gets another one can't have.
 */
import type { Condition, EndpointSlice, LoadBalancerIngress } from "#api";
import { OwnWrites } from "../lib/own-writes.ts";
import { type Controller, defineController, onEvery, watch } from "../lib/controller.ts";
import type { SeenNode } from "../lib/nodes.ts";
import { byCreation, isDeleting, nameOf, namespaceOf, type Seen } from "../lib/objects.ts";
import { serviceNameLabel } from "../lib/slices.ts";
import { unlessOther } from "../lib/unless-gone.ts";
import { formatTime, jsonEqual } from "#machinery";
import { Claims } from "./claims.ts";
import { parsePool } from "./pool.ts";
import * as decide from "./reconcile.ts";

type SeenService = decide.SeenService;

const balancedIndex = "balanced";
const retryMs = [5_000, 300_000] as const;

export const loadBalancerController: Controller = defineController({
  name: "service-lb-controller",
  account: "service-controller",
  create({ client, informers, events, clock, options }) {
    const pool = options.loadBalancerPool?.length ? parsePool(options.loadBalancerPool) : undefined;
    const services = informers.of("v1/services");
    const nodes = informers.of("v1/nodes");
    const slices = informers.of("discovery.k8s.io/v1/endpointslices");
    services.addIndex(balancedIndex, (service) => (decide.wayOf(service, pool) ? ["yes"] : []));
    const balanced = () => services.by(balancedIndex, "yes");
    const written = new OwnWrites(services);
    const keyOf = (service: SeenService) => `${namespaceOf(service)}/${nameOf(service)}`;
    let claims: Claims | undefined;
    /** What each was last balanced for, and why that failed. */
    const done = new Map<string, { readonly signature: string; readonly failure: string | undefined }>();

    function claimsSoFar(): Claims {
      const all = new Claims();
      const isOurs = (thing: string) => all.holder(thing) === undefined;
      for (const service of balanced().toSorted(byCreation)) {
        const had = (service.status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => ip ?? []);
        if (had.length === 0) continue;
        const things =
          decide.wayOf(service, pool) === "pool"
            ? had.filter((address) => pool?.contains(address))
            : decide.portClaims(service);
        if (things.every(isOurs)) all.hold(keyOf(service), things);
      }
      return all;
    }

    const usableNodes = (): readonly SeenNode[] => nodes.list().filter(decide.isUsable);

    const slicesOf = (service: SeenService) =>
      slices
        .list(namespaceOf(service))
        .filter(({ metadata }) => metadata.labels?.[serviceNameLabel] === nameOf(service));

    const isAffectedBySlices = (service: SeenService | undefined) =>
      service?.spec?.externalTrafficPolicy === "Local" && decide.wayOf(service, pool) !== undefined;

    /** In one write, which only succeeds on the object that was looked at. */
    async function write(service: SeenService, change: { metadata?: object; status?: object }): Promise<void> {
      const { uid, resourceVersion } = service.metadata;
      const patch = { ...change, metadata: { uid, resourceVersion, ...change.metadata } };
      await unlessOther(
        client
          .resource("v1/services", namespaceOf(service))
          .patch(nameOf(service), patch, { type: "merge", subresource: "status" })
          .then((answer) => written.note(answer)),
      );
    }

    async function cleanUp(service: SeenService): Promise<void> {
      events.event(service, { type: "Normal", reason: "DeletingLoadBalancer", message: "Deleting load balancer" });
      const finalizers = service.metadata.finalizers?.filter((each) => each !== decide.finalizer) ?? [];
      const annotations = { [decide.announcerAnnotation]: null };
      const isEmpty = isDeleting(service) || !service.status?.loadBalancer?.ingress;
      await write(service, {
        metadata: { finalizers, ...(service.metadata.annotations?.[decide.announcerAnnotation] && { annotations }) },
        ...(!isEmpty && { status: { loadBalancer: { ingress: null } } }),
      });
      events.event(service, { type: "Normal", reason: "DeletedLoadBalancer", message: "Deleted load balancer" });
    }

    /** Answers whether something became free that another one may wait for. */
    async function ensure(key: string, service: SeenService, held: Claims): Promise<boolean> {
      const usable = usableNodes();
      const plan = decide.planBalancer(key, service, {
        ...{ pool, claims: held, nodes: usable, slices: isAffectedBySlices(service) ? slicesOf(service) : [] },
        reserved: decide.reservedPorts(usable, slices.get("default/kubernetes")),
      });
      const isFreed = held.hold(key, plan.claims);
      const change = changeOf(service, plan, formatTime(clock.now()));
      const before = done.get(key);
      const signature = decide.signatureOf(service);
      const isNew = before ? before.signature !== signature : change !== undefined;
      const say = (type: "Normal" | "Warning", reason: string, message: string) =>
        events.event(service, { type, reason, message });
      if (isNew) say("Normal", "EnsuringLoadBalancer", "Ensuring load balancer");
      if (usable.length === 0 && (isNew || change))
        say("Warning", "UnAvailableLoadBalancer", "There are no available nodes for LoadBalancer");
      if (change) await write(service, change);
      if (plan.failure === undefined) {
        if (isNew || before?.failure !== undefined) say("Normal", "EnsuredLoadBalancer", "Ensured load balancer");
        else if (change?.status && usable.length > 0)
          say("Normal", "UpdatedLoadBalancer", "Updated load balancer with new hosts");
      } else if (isNew || before?.failure !== plan.failure) {
        const message = `Error syncing load balancer: failed to ensure load balancer: ${plan.failure}`;
        say("Warning", "SyncLoadBalancerFailed", message);
      }
      done.set(key, { signature, failure: plan.failure });
      return isFreed;
    }

    return [
      {
        workers: 1,
        retryMs,
        watches(queue) {
          const markAll = () => {
            for (const service of balanced()) queue.add(keyOf(service));
          };
          const isConcerned = (service: SeenService) =>
            service.spec?.type === "LoadBalancer" || decide.needsCleanup(service);
          const markSlice = ({ metadata }: Seen<EndpointSlice>) => {
            const key = `${metadata.namespace}/${metadata.labels?.[serviceNameLabel]}`;
            if (isAffectedBySlices(services.get(key))) queue.add(key);
          };
          return [
            watch(services, {
              added: (service) => isConcerned(service) && queue.add(keyOf(service)),
              updated: (service, old) => (isConcerned(service) || isConcerned(old)) && queue.add(keyOf(service)),
              deleted: (service) => isConcerned(service) && queue.add(keyOf(service)),
            }),
            watch(nodes, {
              added: markAll,
              updated: (node, old) => decide.nodeFacts(node) === decide.nodeFacts(old) || markAll(),
              deleted: markAll,
            }),
            onEvery(slices, markSlice),
          ];
        },
        async reconcile(key, queue) {
          claims ??= claimsSoFar();
          const service = written.get(key);
          let isFreed = false;
          if (service && decide.wayOf(service, pool) && !isDeleting(service))
            isFreed = await ensure(key, service, claims);
          else {
            isFreed = claims.hold(key, []);
            done.delete(key);
            if (service && decide.needsCleanup(service)) await cleanUp(service);
          }
          if (isFreed) for (const [other, { failure }] of done) if (failure !== undefined) queue.add(other);
        },
      },
    ];
  },
});

/** What has to be written; undefined: nothing. */
function changeOf(service: SeenService, plan: decide.BalancerPlan, now: string) {
  const { metadata, status } = service;
  const announcer = metadata.annotations?.[decide.announcerAnnotation];
  const conditions = conditionsOf(service, plan, now);
  const shown = (ingress: Seen<LoadBalancerIngress>[]) =>
    ingress.map(({ ip, ipMode, hostname, ports }) => ({ ip, ipMode, hostname, ports }));
  const isIngressRight = jsonEqual(shown([...(status?.loadBalancer?.ingress ?? [])]), shown([...plan.ingress]));
  const meta = {
    ...(!decide.hasFinalizer(service) && { finalizers: [...(metadata.finalizers ?? []), decide.finalizer] }),
    ...(announcer !== plan.announcer && { annotations: { [decide.announcerAnnotation]: plan.announcer ?? null } }),
  };
  const state = {
    ...(!isIngressRight && { loadBalancer: { ingress: plan.ingress.length > 0 ? plan.ingress : null } }),
    ...(conditions && { conditions }),
  };
  const [isMeta, isState] = [Object.keys(meta).length > 0, Object.keys(state).length > 0];
  if (!isMeta && !isState) return undefined;
  return { ...(isMeta && { metadata: meta }), ...(isState && { status: state }) };
}

/** All of them, when the one about ports has to change. */
function conditionsOf({ metadata, status }: SeenService, plan: decide.BalancerPlan, now: string) {
  const all = (status?.conditions ?? []) as readonly Condition[]; // only passed on
  const found = all.find(({ type }) => type === decide.portsCondition);
  const wanted = plan.isPortTaken ? "True" : "False";
  const message = (plan.isPortTaken && plan.failure) || "";
  if (found ? found.status === wanted && found.message === message : !plan.isPortTaken) return undefined;
  const condition: Condition = {
    ...{ type: decide.portsCondition, status: wanted, reason: plan.isPortTaken ? "PortsTaken" : "PortsFree", message },
    lastTransitionTime: found?.status === wanted ? found.lastTransitionTime : now,
    observedGeneration: metadata.generation ?? 0,
  };
  return [...all.filter((each) => each !== found), condition];
}
