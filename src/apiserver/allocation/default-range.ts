/**
 * The ServiceCIDR `kubernetes`: the ranges that the server was started with, as an object. Made where it is missing, widened to two families,
 * and said to be ready when nobody else says so. Follows pkg/controlplane/controller/defaultservicecidr.
 */
import type { ServiceCIDR } from "#api";
import type { Logger } from "#base";
import { type DeepReadonly, jsonEqual } from "#machinery";
import { applyOwn, createOwn, type OwnObject, type OwnWriter, readOwn, updateOwn } from "../peers/write-own.ts";
import { rfc3339 } from "../registry/rfc3339.ts";
import type { RepairEvents } from "./record-event.ts";
import { defaultRangeName } from "./service-ranges.ts";

const controller = "kubernetes-service-cidr-controller";
const at: OwnObject = {
  group: "networking.k8s.io",
  version: "v1",
  resource: "servicecidrs",
  namespace: "",
  name: defaultRangeName,
};

export interface DefaultRangeOptions extends OwnWriter {
  /** As given at the start, canonical. */
  readonly cidrs: readonly string[];
  readonly events: RepairEvents;
  readonly log: Logger;
}

export async function ensureDefaultRange(options: DefaultRangeOptions): Promise<void> {
  const { cidrs } = options;
  const metadata = { name: defaultRangeName };
  const read = () => readOwn<ServiceCIDR>(options, at);
  if (!(await read())) await createOwn(options, at, { metadata, spec: { cidrs } });
  let found = await read();
  const [only, second] = found?.spec?.cidrs ?? [];
  if (found && cidrs.length === 2 && second === undefined && only === cidrs[0]) {
    await updateOwn(options, at, { ...found, spec: { cidrs } });
    found = await read();
  }
  if (found && found.metadata.deletionTimestamp === undefined) await checkDefaultRange(options, found);
}

async function checkDefaultRange(options: DefaultRangeOptions, found: DeepReadonly<ServiceCIDR>): Promise<void> {
  const { cidrs, log, clock } = options;
  const print = (texts: readonly string[]) => `[${texts.join(" ")}]`;
  const has = found.spec?.cidrs ?? [];
  if (!jsonEqual(has, cidrs)) {
    log.warn("the default ServiceCIDR isn't what the server was started with", { has, cidrs });
    const note = `The default ServiceCIDR ${print(has)} does not match the controller flag configurations ${print(cidrs)}`;
    return tell(options, found, "KubernetesDefaultServiceCIDRInconsistent", note);
  }
  const ready = found.status?.conditions?.find(({ type }) => type === "Ready");
  if (ready?.status === "False") {
    log.warn("the default ServiceCIDR is not ready, though it is as it should be", { reason: ready.reason });
    return tell(options, found, ready.reason || "NotReady", `Configuration matches, but ${ready.message}`);
  }
  if (ready?.status === "True") return;
  const condition = {
    type: "Ready",
    status: "True",
    lastTransitionTime: rfc3339(clock.now()),
    message: "Kubernetes default Service CIDR is ready",
  };
  const object = {
    apiVersion: `${at.group}/${at.version}`,
    kind: "ServiceCIDR",
    metadata: { name: defaultRangeName },
    status: { conditions: [condition] },
  };
  await applyOwn(options, at, { object, subresource: "status", manager: controller });
}

function tell(
  { events }: DefaultRangeOptions,
  regarding: DeepReadonly<ServiceCIDR>,
  reason: string,
  note: string,
): Promise<void> {
  return events.record({ controller, regarding, reason, note });
}
