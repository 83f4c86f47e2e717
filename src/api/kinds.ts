/** Every built-in kind; one line for each. Adding a kind is its own file and a line here. */
import { mutatingAdmissionPolicyBindingKind } from "./admissionregistration/mutating-admission-policy-binding.ts";
import { mutatingAdmissionPolicyKind } from "./admissionregistration/mutating-admission-policy.ts";
import { mutatingWebhookConfigurationKind } from "./admissionregistration/mutating-webhook-configuration.ts";
import { validatingAdmissionPolicyBindingKind } from "./admissionregistration/validating-admission-policy-binding.ts";
import { validatingAdmissionPolicyKind } from "./admissionregistration/validating-admission-policy.ts";
import { validatingWebhookConfigurationKind } from "./admissionregistration/validating-webhook-configuration.ts";
import { customResourceDefinitionKind } from "./apiextensions/custom-resource-definition.ts";
import { apiServiceKind } from "./apiregistration/api-service.ts";
import { controllerRevisionKind } from "./apps/controller-revision.ts";
import { daemonSetKind } from "./apps/daemon-set.ts";
import { deploymentKind } from "./apps/deployment.ts";
import { replicaSetKind } from "./apps/replica-set.ts";
import { statefulSetKind } from "./apps/stateful-set.ts";
import { horizontalPodAutoscalerKind } from "./autoscaling/horizontal-pod-autoscaler.ts";
import { scaleKind } from "./autoscaling/scale.ts";
import { cronJobKind } from "./batch/cron-job.ts";
import { jobKind } from "./batch/job.ts";
import { certificateSigningRequestKind } from "./certificates/certificate-signing-request.ts";
import { leaseCandidateKind } from "./coordination/lease-candidate.ts";
import { leaseKind } from "./coordination/lease.ts";
import { componentStatusKind } from "./core/component-status.ts";
import { configMapKind } from "./core/config-map.ts";
import { endpointsKind } from "./core/endpoints.ts";
import { eventKind } from "./core/event.ts";
import { limitRangeKind } from "./core/limit-range.ts";
import { namespaceKind } from "./core/namespace.ts";
import { nodeKind } from "./core/node.ts";
import { persistentVolumeClaimKind } from "./core/persistent-volume-claim.ts";
import { persistentVolumeKind } from "./core/persistent-volume.ts";
import { podTemplateKind } from "./core/pod-template.ts";
import { podKind } from "./core/pod.ts";
import { replicationControllerKind } from "./core/replication-controller.ts";
import { resourceQuotaKind } from "./core/resource-quota.ts";
import { secretKind } from "./core/secret.ts";
import { serviceAccountKind } from "./core/service-account.ts";
import { serviceKind } from "./core/service.ts";
import { endpointSliceKind } from "./discovery/endpoint-slice.ts";
import { flowSchemaKind } from "./flowcontrol/flow-schema.ts";
import { priorityLevelConfigurationKind } from "./flowcontrol/priority-level.ts";
import { ingressClassKind } from "./networking/ingress-class.ts";
import { ingressKind } from "./networking/ingress.ts";
import { ipAddressKind } from "./networking/ip-address.ts";
import { networkPolicyKind } from "./networking/network-policy.ts";
import { serviceCidrKind } from "./networking/service-cidr.ts";
import { podDisruptionBudgetKind } from "./policy/pod-disruption-budget.ts";
import { runtimeClassKind } from "./node/runtime-class.ts";
import { clusterRoleBindingKind } from "./rbac/cluster-role-binding.ts";
import { clusterRoleKind } from "./rbac/cluster-role.ts";
import { roleBindingKind } from "./rbac/role-binding.ts";
import { roleKind } from "./rbac/role.ts";
import { deviceClassKind } from "./resource/device-class.ts";
import { resourceClaimTemplateKind } from "./resource/resource-claim-template.ts";
import { resourceClaimKind } from "./resource/resource-claim.ts";
import { resourceSliceKind } from "./resource/resource-slice.ts";
import { priorityClassKind } from "./scheduling/priority-class.ts";
import { storageVersionMigrationKind } from "./storagemigration/storage-version-migration.ts";
import { csiDriverKind } from "./storage/csi-driver.ts";
import { csiNodeKind } from "./storage/csi-node.ts";
import { csiStorageCapacityKind } from "./storage/csi-storage-capacity.ts";
import { storageClassKind } from "./storage/storage-class.ts";
import { volumeAttachmentKind } from "./storage/volume-attachment.ts";
import { volumeAttributesClassKind } from "./storage/volume-attributes-class.ts";
import type { Kind } from "./kind.ts";

/** By group, then as in upstream's storage. Hooks of a kind only see objects of that kind, so its type is its own. */
export const kinds: readonly Kind[] = [
  mutatingAdmissionPolicyBindingKind,
  mutatingAdmissionPolicyKind,
  mutatingWebhookConfigurationKind,
  validatingAdmissionPolicyBindingKind,
  validatingAdmissionPolicyKind,
  validatingWebhookConfigurationKind,
  customResourceDefinitionKind,
  apiServiceKind,
  controllerRevisionKind,
  daemonSetKind,
  deploymentKind,
  replicaSetKind,
  statefulSetKind,
  horizontalPodAutoscalerKind,
  scaleKind,
  cronJobKind,
  jobKind,
  certificateSigningRequestKind,
  leaseCandidateKind,
  leaseKind,
  componentStatusKind,
  configMapKind,
  endpointsKind,
  eventKind,
  limitRangeKind,
  namespaceKind,
  nodeKind,
  persistentVolumeClaimKind,
  persistentVolumeKind,
  podTemplateKind,
  podKind,
  replicationControllerKind,
  resourceQuotaKind,
  secretKind,
  serviceAccountKind,
  serviceKind,
  endpointSliceKind,
  flowSchemaKind,
  priorityLevelConfigurationKind,
  ingressClassKind,
  ingressKind,
  ipAddressKind,
  networkPolicyKind,
  serviceCidrKind,
  runtimeClassKind,
  podDisruptionBudgetKind,
  clusterRoleBindingKind,
  clusterRoleKind,
  roleBindingKind,
  roleKind,
  deviceClassKind,
  resourceClaimTemplateKind,
  resourceClaimKind,
  resourceSliceKind,
  priorityClassKind,
  csiDriverKind,
  csiNodeKind,
  csiStorageCapacityKind,
  storageClassKind,
  volumeAttachmentKind,
  volumeAttributesClassKind,
  storageVersionMigrationKind,
] as unknown as readonly Kind[];
