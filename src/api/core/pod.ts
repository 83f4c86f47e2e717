/**
 * Pod: containers that run together on one node.
 * Follows upstream's registry/core/pod strategy; binding, eviction, logs and streams are the API server's.
 */
import { defineKind } from "../kind.ts";
import { podWarnings } from "../pod-spec/warnings.ts";
import { defaultPod } from "../pod-spec/defaults.ts";
import { bumpGeneration } from "../strategy.ts";
import type { Pod } from "../types.d.ts";
import { podColumns, podRowConditions } from "./pod/columns.ts";
import { ephemeralContainersStrategy } from "./pod/ephemeral.ts";
import { appArmorWarnings, prepareNewPod } from "./pod/prepare.ts";
import { resizeStrategy } from "./pod/resize.ts";
import { podStatusStrategy, shareAddresses } from "./pod/status.ts";
import { validatePodUpdate } from "./pod/update.ts";
import { validateNewPod } from "./pod/validate.ts";

export const podKind = defineKind<Pod>({
  group: "",
  kind: "Pod",
  resource: "pods",
  storageVersion: "v1",
  resetFields: ["status"],

  defaults(pod) {
    defaultPod(pod);
    if (pod.status) shareAddresses(pod.status);
  },
  prepareForCreate: (pod, { now }) => prepareNewPod(pod, now),
  prepareForUpdate(pod, old) {
    if (old.status) pod.status = old.status;
    else delete pod.status;
    bumpGeneration(pod, old);
  },
  validate: validateNewPod,
  validateUpdate: validatePodUpdate,
  warningsBeforeCreate: appArmorWarnings,
  warningsOnCreate: podWarnings,

  subresources: {
    status: podStatusStrategy,
    ephemeralcontainers: ephemeralContainersStrategy,
    resize: resizeStrategy,
  },

  gracefulDeletion({ spec, status }, requestedSeconds) {
    const wanted = requestedSeconds ?? spec?.terminationGracePeriodSeconds ?? 0;
    const isOver = !spec?.nodeName || status?.phase === "Failed" || status?.phase === "Succeeded";
    return { gracePeriodSeconds: isOver ? 0 : wanted < 0 ? 1 : wanted };
  },

  selectableFieldNames: [
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.podIPs",
    "status.nominatedNodeName",
  ],
  selectableFields: ({ spec, status }) => ({
    "spec.nodeName": spec?.nodeName ?? "",
    "spec.restartPolicy": spec?.restartPolicy ?? "",
    "spec.schedulerName": spec?.schedulerName ?? "",
    "spec.serviceAccountName": spec?.serviceAccountName ?? "",
    "spec.hostNetwork": String(spec?.hostNetwork ?? false),
    "status.phase": status?.phase ?? "",
    "status.podIP": status?.podIPs?.[0]?.ip ?? "",
    // Upstream lets the label through and has no value for it.
    "status.podIPs": "",
    "status.nominatedNodeName": status?.nominatedNodeName ?? "",
  }),
  // Of the time when nodes were hosts.
  selectableField: (field) => (field === "spec.host" ? "spec.nodeName" : field),
  unknownField: (field) => `field label not supported: ${field}`,

  columns: podColumns,
  rowConditions: podRowConditions,
});
