/** Every controller, by the name kube-controller-manager gives it. Adding one means adding it here. */
import { attachDetachController } from "./attach-detach/controller.ts";
import { bootstrapSignerController, tokenCleanerController } from "./bootstrap-tokens/controller.ts";
import {
  requestApprovingController,
  requestCleanerController,
  requestSigningController,
} from "./certificate-signing-request/controller.ts";
import { clusterDnsController } from "./cluster-dns/controller.ts";
import { clusterRoleAggregationController } from "./cluster-role-aggregation/controller.ts";
import { cronJobController } from "./cron-job/controller.ts";
import { daemonSetController } from "./daemon-set/controller.ts";
import { deploymentController } from "./deployment/controller.ts";
import { deviceTaintEvictionController } from "./device-taint-eviction/controller.ts";
import { disruptionController } from "./disruption/controller.ts";
import { endpointSliceController } from "./endpoint-slice/controller.ts";
import { endpointSliceMirroringController } from "./endpoint-slice-mirroring/controller.ts";
import { endpointsController } from "./endpoints/controller.ts";
import { ephemeralVolumeController } from "./ephemeral-volume/controller.ts";
import { garbageCollector } from "./garbage-collector/controller.ts";
import { horizontalPodAutoscalerController } from "./horizontal-pod-autoscaler/controller.ts";
import { jobController } from "./job/controller.ts";
import { kubeletServingApprover } from "./kubelet-serving-approver/controller.ts";
import { legacyTokenCleaner } from "./legacy-token-cleaner/controller.ts";
import type { Controller } from "./lib/controller.ts";
import { loadBalancerController } from "./load-balancer/controller.ts";
import { localPathProvisioner } from "./local-path/controller.ts";
import { namespaceController } from "./namespace/controller.ts";
import { nodeIpamController } from "./node-ipam/controller.ts";
import { nodeLifecycleController } from "./node-lifecycle/controller.ts";
import { persistentVolumeBinder } from "./persistent-volume-binder/controller.ts";
import { persistentVolumeExpander } from "./persistent-volume-expander/controller.ts";
import { podGarbageCollector } from "./pod-gc/controller.ts";
import { rbdProvisioner } from "./rbd-provisioner/controller.ts";
import { replicaSetController, replicationController } from "./replica-set/controller.ts";
import { resourceClaimController } from "./resource-claim/controller.ts";
import { resourceQuotaController } from "./resource-quota/controller.ts";
import { rootCaController } from "./root-ca/controller.ts";
import { serviceCidrController } from "./service-cidr/controller.ts";
import { serviceAccountController } from "./service-account/controller.ts";
import { serviceAccountTokenController } from "./service-account-token/controller.ts";
import { statefulSetController } from "./stateful-set/controller.ts";
import { storageVersionMigrator } from "./storage-version-migrator/controller.ts";
import { taintEvictionController } from "./taint-eviction/controller.ts";
import { ttlController } from "./ttl/controller.ts";
import { ttlAfterFinishedController } from "./ttl-after-finished/controller.ts";
import { validatingAdmissionPolicyStatusController } from "./validating-admission-policy-status/controller.ts";
import {
  attributesClassProtectionController,
  claimProtectionController,
  volumeProtectionController,
} from "./volume-protection/controller.ts";

export const controllers: readonly Controller[] = [
  deploymentController,
  replicaSetController,
  replicationController,
  daemonSetController,
  statefulSetController,
  jobController,
  cronJobController,
  ttlAfterFinishedController,
  endpointsController,
  endpointSliceController,
  endpointSliceMirroringController,
  namespaceController,
  serviceAccountController,
  serviceAccountTokenController,
  rootCaController,
  garbageCollector,
  serviceCidrController,
  loadBalancerController,
  nodeIpamController,
  nodeLifecycleController,
  taintEvictionController,
  podGarbageCollector,
  disruptionController,
  horizontalPodAutoscalerController,
  resourceQuotaController,
  resourceClaimController,
  deviceTaintEvictionController,
  persistentVolumeBinder,
  claimProtectionController,
  volumeProtectionController,
  attributesClassProtectionController,
  ephemeralVolumeController,
  persistentVolumeExpander,
  attachDetachController,
  localPathProvisioner,
  rbdProvisioner,
  clusterDnsController,
  clusterRoleAggregationController,
  requestSigningController,
  requestApprovingController,
  requestCleanerController,
  kubeletServingApprover,
  bootstrapSignerController,
  tokenCleanerController,
  ttlController,
  legacyTokenCleaner,
  validatingAdmissionPolicyStatusController,
  storageVersionMigrator,
];
