/**
 * Service: one name and address for a changing set of pods.
 * Follows upstream's registry/core/service; addresses and ports are allocated by the API server's registry, after validation.
 */
import { type DeepReadonly, type FieldError, nameIsDnsLabel } from "#machinery";
import { defineKind } from "../kind.ts";
import type { Service } from "../types.d.ts";
import { serviceColumns } from "./service/columns.ts";
import { type ClusterFamilies, completeFamilies } from "./service/families.ts";
import { isExternal, specOf } from "./service/rules.ts";
import { serviceStatusStrategy } from "./service/status.ts";
import { dropUnused, keepAllocated, shareClusterIp } from "./service/transitions.ts";
import { validateServiceUpdate } from "./service/update.ts";
import { validateService } from "./service/validate.ts";
import { serviceWarnings } from "./service/warnings.ts";

const affinitySeconds = 10800;

function defaultService(service: Service): void {
  service.spec ??= {};
  const { spec } = service;
  spec.sessionAffinity ||= "None";
  if (spec.sessionAffinity === "None") delete spec.sessionAffinityConfig;
  if (spec.sessionAffinity === "ClientIP" && spec.sessionAffinityConfig?.clientIP?.timeoutSeconds === undefined) {
    spec.sessionAffinityConfig = { clientIP: { timeoutSeconds: affinitySeconds } };
  }
  spec.type ||= "ClusterIP";
  for (const port of spec.ports ?? []) {
    port.protocol ||= "TCP";
    // Zero as well: Go can't tell it from nothing.
    port.targetPort ||= port.port ?? 0;
  }
  if (isExternal(spec)) spec.externalTrafficPolicy ||= "Cluster";
  const hasAddress = spec.type === "NodePort" || spec.type === "LoadBalancer" || spec.type === "ClusterIP";
  if (hasAddress) spec.internalTrafficPolicy ??= "Cluster";
  if (spec.type !== "LoadBalancer") return;
  spec.allocateLoadBalancerNodePorts ??= true;
  for (const ingress of service.status?.loadBalancer?.ingress ?? []) if (ingress.ip) ingress.ipMode ??= "VIP";
}

/** Addresses and families as far as they follow from what the client sent and what was there; answers why they can't. */
export function completeServiceAddresses(
  service: Service,
  old: DeepReadonly<Service> | undefined,
  families: ClusterFamilies,
): FieldError[] {
  const spec = specOf(service);
  service.spec = spec;
  const before = old && specOf(old as Service); // only read
  if (before) keepAllocated(spec, before);
  shareClusterIp(spec, before);
  return completeFamilies(spec, before, families);
}

/** Families follow from the cluster's ranges, so a cluster with others has a kind of its own. */
export const defineServiceKind = (families: ClusterFamilies) =>
  defineKind<Service>({
    group: "",
    kind: "Service",
    resource: "services",
    storageVersion: "v1",
    allowCreateOnUpdate: true,
    resetFields: ["status"],
    validateName: (name, prefix) => [...nameIsDnsLabel(name, prefix)],

    defaults: defaultService,
    prepareForCreate(service) {
      service.status = { loadBalancer: {} };
      const spec = specOf(service);
      service.spec = spec;
      shareClusterIp(spec, undefined);
      completeFamilies(spec, undefined, families); // what it refuses, validation says
    },
    prepareForUpdate(service, old) {
      if (old.status) service.status = old.status;
      else delete service.status;
      const spec = specOf(service);
      service.spec = spec;
      const before = specOf(old);
      keepAllocated(spec, before);
      shareClusterIp(spec, before);
      completeFamilies(spec, before, families); // likewise
      dropUnused(spec, before);
      if (spec.type !== "LoadBalancer") service.status = { ...service.status, loadBalancer: {} };
    },
    validate(service) {
      const errors = completeFamilies(specOf(service), undefined, families);
      return errors.length > 0 ? errors : validateService(service);
    },
    validateUpdate(service, old) {
      const errors = completeFamilies(specOf(service), specOf(old), families);
      return errors.length > 0 ? errors : validateServiceUpdate(service, old);
    },
    warningsOnCreate: serviceWarnings,
    warningsOnUpdate: serviceWarnings,

    subresources: { status: serviceStatusStrategy },

    selectableFieldNames: ["spec.clusterIP", "spec.type"],
    selectableFields: ({ spec }) => ({ "spec.clusterIP": spec?.clusterIP ?? "", "spec.type": spec?.type ?? "" }),
    unknownField: (field) => `field label not supported: ${field}`,
    columns: serviceColumns,
  });

export const serviceKind = defineServiceKind(["IPv4"]);
