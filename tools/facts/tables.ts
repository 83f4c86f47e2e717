/**
 * What upstream keeps in its registries and not in OpenAPI: short names, categories, the order of groups and versions.
 * Keys are `plural` or `plural.group`.
 */
export const shortNames: Readonly<Record<string, string[]>> = {
  componentstatuses: ["cs"],
  configmaps: ["cm"],
  endpoints: ["ep"],
  events: ["ev"],
  limitranges: ["limits"],
  namespaces: ["ns"],
  nodes: ["no"],
  persistentvolumeclaims: ["pvc"],
  persistentvolumes: ["pv"],
  pods: ["po"],
  replicationcontrollers: ["rc"],
  resourcequotas: ["quota"],
  serviceaccounts: ["sa"],
  services: ["svc"],
  "customresourcedefinitions.apiextensions.k8s.io": ["crd", "crds"],
  "daemonsets.apps": ["ds"],
  "deployments.apps": ["deploy"],
  "replicasets.apps": ["rs"],
  "statefulsets.apps": ["sts"],
  "horizontalpodautoscalers.autoscaling": ["hpa"],
  "cronjobs.batch": ["cj"],
  "certificatesigningrequests.certificates.k8s.io": ["csr"],
  "events.events.k8s.io": ["ev"],
  "ingresses.networking.k8s.io": ["ing"],
  "ipaddresses.networking.k8s.io": ["ip"],
  "networkpolicies.networking.k8s.io": ["netpol"],
  "poddisruptionbudgets.policy": ["pdb"],
  "priorityclasses.scheduling.k8s.io": ["pc"],
  "storageclasses.storage.k8s.io": ["sc"],
  "volumeattributesclasses.storage.k8s.io": ["vac"],
};

export const categories: Readonly<Record<string, string[]>> = {
  pods: ["all"],
  replicationcontrollers: ["all"],
  services: ["all"],
  "daemonsets.apps": ["all"],
  "deployments.apps": ["all"],
  "replicasets.apps": ["all"],
  "statefulsets.apps": ["all"],
  "horizontalpodautoscalers.autoscaling": ["all"],
  "cronjobs.batch": ["all"],
  "jobs.batch": ["all"],
  "customresourcedefinitions.apiextensions.k8s.io": ["api-extensions"],
  "apiservices.apiregistration.k8s.io": ["api-extensions"],
  "mutatingadmissionpolicies.admissionregistration.k8s.io": ["api-extensions"],
  "mutatingadmissionpolicybindings.admissionregistration.k8s.io": ["api-extensions"],
  "mutatingwebhookconfigurations.admissionregistration.k8s.io": ["api-extensions"],
  "validatingadmissionpolicies.admissionregistration.k8s.io": ["api-extensions"],
  "validatingadmissionpolicybindings.admissionregistration.k8s.io": ["api-extensions"],
  "validatingwebhookconfigurations.admissionregistration.k8s.io": ["api-extensions"],
};

/** Group priority of the aggregator (`groupPriorityMinimum`): discovery lists higher ones first, then by name. */
export const groupPriorities: Readonly<Record<string, number>> = {
  "apiregistration.k8s.io": 18000,
  "": 18000,
  apps: 17800,
  "events.k8s.io": 17750,
  "authentication.k8s.io": 17700,
  "authorization.k8s.io": 17600,
  autoscaling: 17500,
  batch: 17400,
  "certificates.k8s.io": 17300,
  "networking.k8s.io": 17200,
  policy: 17100,
  "rbac.authorization.k8s.io": 17000,
  "storage.k8s.io": 16800,
  "admissionregistration.k8s.io": 16700,
  "apiextensions.k8s.io": 16700,
  "scheduling.k8s.io": 16600,
  "coordination.k8s.io": 16500,
  "node.k8s.io": 16300,
  "discovery.k8s.io": 16200,
  "flowcontrol.apiserver.k8s.io": 16100,
  "internal.apiserver.k8s.io": 16000,
  "resource.k8s.io": 16200,
  "storagemigration.k8s.io": 15800,
};

/** `versionPriority` where it isn't the usual 15 for stable, 9 for beta and 1 for alpha. */
export const versionPriorities: Readonly<Record<string, number>> = {
  v1: 1,
  "autoscaling/v2": 30,
  "admissionregistration.k8s.io/v1beta1": 12,
  "admissionregistration.k8s.io/v1alpha1": 9,
  "coordination.k8s.io/v1beta1": 13,
  "coordination.k8s.io/v1alpha2": 12,
  "discovery.k8s.io/v1beta1": 12,
  "events.k8s.io/v1beta1": 5,
  "flowcontrol.apiserver.k8s.io/v1": 21,
  "internal.apiserver.k8s.io/v1alpha1": 9,
  "resource.k8s.io/v1": 20,
  "resource.k8s.io/v1beta2": 15,
};

/** A stock kube-apiserver 1.36 serves stable versions only: beta ones are off since 1.24, alpha ones always were. */
export const isServedByDefault = (version: string): boolean => /^v\d+$/.test(version);
