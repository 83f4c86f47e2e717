/** Every feature gate that upstream's kubelet 1.36 knows, so that a misspelt one is told from one that changes nothing here. */
import { goQuote } from "#machinery";

/** May be set. */
const open =
  "APIResponseCompression APIServerIdentity APIServingWithRoutine AllAlpha AllBeta AllowDNSOnlyNodeCSR " +
  "AllowInsecureKubeletCertificateSigningRequests AllowParsingUserUIDFromCertAuth AllowServiceExternalIPs " +
  "AllowUnsafeMalformedObjectDeletion AtomicFIFO AuthorizePodWebsocketUpgradeCreatePermission CBORServingAndStorage " +
  "CPUManagerPolicyAlphaOptions CPUManagerPolicyBetaOptions CRDObservedGenerationTracking CRIListStreaming " +
  "CSIVolumeHealth ChangeContainerStatusOnKubeletRestart ClearingNominatedNodeNameAfterBinding " +
  "ClientsAllowCARotation ClientsAllowCBOR ClientsAllowTLSCacheGC ClientsPreferCBOR " +
  "CloudControllerManagerWatchBasedRoutesReconciliation CloudControllerManagerWebhook ClusterTrustBundle " +
  "ClusterTrustBundleProjection ComponentFlagz ComponentStatusz ConcurrentWatchObjectDecode " +
  "ConstrainedImpersonation ContainerCheckpoint ContainerRestartRules ContainerStopSignals ContextualLogging " +
  "ControllerManagerReleaseLeaderElectionLockOnExit CoordinatedLeaderElection CrossNamespaceVolumeDataSource " +
  "CustomCPUCFSQuotaPeriod DRAConsumableCapacity DRADeviceBindingConditions DRADeviceTaintRules DRADeviceTaints " +
  "DRAExtendedResource DRAListTypeAttributes DRANodeAllocatableResources DRAPartitionableDevices DRAPrioritizedList " +
  "DRAResourceClaimDeviceStatus DRAResourceClaimGranularStatusAuthorization DRAResourcePoolStatus " +
  "DRASchedulerFilterTimeout DRAWorkloadResourceClaims DeclarativeValidationBeta DeclarativeValidationTakeover " +
  "DeploymentReplicaSetTerminatingReplicas DetectCacheInconsistency DisableCPUQuotaWithExclusiveCPUs EnvFiles " +
  "EventedPLEG ExtendWebSocketsToKubelet GangScheduling GenericWorkload GracefulNodeShutdown " +
  "GracefulNodeShutdownBasedOnPodPriority HPAConfigurableTolerance HPAScaleToZero HostnameOverride " +
  "ImageVolumeWithDigest InOrderInformersBatchProcess InPlacePodLevelResourcesVerticalScaling " +
  "InPlacePodVerticalScalingExclusiveCPUs InPlacePodVerticalScalingExclusiveMemory " +
  "InPlacePodVerticalScalingInitContainers InformerResourceVersion KMSv1 KubeletCrashLoopBackOffMax " +
  "KubeletEnsureSecretPulledImages KubeletInUserNamespace KubeletPodResourcesListUseActivePods " +
  "KubeletRegistrationGetOnExistsOnly KubeletSeparateDiskGC KubeletServiceAccountTokenForCredentialProviders " +
  "ListFromCacheSnapshot LocalStorageCapacityIsolationFSQuotaMonitoring LoggingAlphaOptions LoggingBetaOptions " +
  "LoggingStableOptions ManifestBasedAdmissionControlConfig MatchLabelKeysInPodTopologySpread " +
  "MatchLabelKeysInPodTopologySpreadSelectorMerge MaxUnavailableStatefulSet MemoryQoS MutablePVNodeAffinity " +
  "MutablePodResourcesForSuspendedJobs MutableSchedulingDirectivesForSuspendedJobs MutatingAdmissionPolicy " +
  "NativeHistograms NodeDeclaredFeatures NominatedNodeNameForExpectation OpenAPIEnums OpportunisticBatching " +
  "PLEGOnDemandRelist PersistentVolumeClaimUnusedSinceTime PodAndContainerStatsFromCRI PodCertificateRequest " +
  "PodDeletionCost PodLevelResourceManagers PodLevelResources PodLogsQuerySplitStreams " +
  "PodReadyToStartContainersCondition PodTopologyLabelsAdmission PodsAPI PortForwardWebsockets " +
  "PreventStaticPodAPIReferences QOSReserved ReduceDefaultCrashLoopBackOffDecay RelaxedServiceNameValidation " +
  "ReloadKubeletClientCAFile ReloadKubeletServerCertificateFile RemoteRequestHeaderUID ResourceHealthStatus " +
  "ResourceHealthStatusMessage RestartAllContainersOnContainerExits RotateKubeletServerCertificate " +
  "RuntimeClassInImageCriApi SELinuxMount SchedulerAsyncAPICalls SchedulerAsyncPreemption SchedulerPopFromBackoffQ " +
  "ServiceAccountNodeAudienceRestriction ServiceCIDRStatusFieldWiping ShardedListAndWatch SizeBasedListCostEstimate " +
  "StaleControllerConsistencyDaemonSet StaleControllerConsistencyJob StaleControllerConsistencyReplicaSet " +
  "StaleControllerConsistencyStatefulSet StatefulSetSemanticRevisionComparison StorageCapacityScoring " +
  "StorageNamespaceIndex StorageVersionAPI StorageVersionHash StorageVersionMigrator StrictIPCIDRValidation " +
  "StructuredAuthenticationConfigurationEgressSelector StructuredAuthenticationConfigurationJWKSMetrics " +
  "TaintTolerationComparisonOperators TokenRequestServiceAccountUIDValidation TopologyAwareWorkloadScheduling " +
  "TopologyManagerPolicyAlphaOptions TopologyManagerPolicyBetaOptions TranslateStreamCloseWebsocketRequests " +
  "UnauthenticatedHTTP2DOSMitigation UnknownVersionInteroperabilityProxy UnlockWhileProcessingFIFO " +
  "UserNamespacesHostNetworkSupport VolumeLimitScaling WatchCacheInitializationPostStartHook WatchList " +
  "WatchListClient WindowsCPUAndMemoryAffinity WindowsGracefulNodeShutdown WindowsHostNetwork " +
  "WorkloadAwarePreemption WorkloadWithJob ";

/** Can't be switched off any more. */
const locked =
  "APIServerTracing AggregatedDiscoveryRemoveBetaType AllowOverwriteTerminationGracePeriodSeconds " +
  "AnonymousAuthConfigurableEndpoints AnyVolumeDataSource AuthorizeNodeWithSelectors AuthorizeWithSelectors " +
  "BtreeWatchCache CPUManagerPolicyOptions CRDValidationRatcheting CSIServiceAccountTokenSecrets " +
  "ConsistentListFromCache CustomResourceFieldSelectors DRAAdminAccess DeclarativeValidation " +
  "DisableAllocatorDualWrite DisableNodeKubeProxyVersion DynamicResourceAllocation ExecProbeTimeout " +
  "ExternalServiceAccountTokenSigner GitRepoVolumeDriver ImageMaximumGCAge ImageVolume InOrderInformers " +
  "InPlacePodVerticalScaling JobBackoffLimitPerIndex JobManagedBy JobPodReplacementPolicy JobSuccessPolicy " +
  "KubeletCgroupDriverFromCRI KubeletFineGrainedAuthz KubeletPSI KubeletPodResourcesDynamicResources " +
  "KubeletPodResourcesGet KubeletTracing LogarithmicScaleDown MatchLabelKeysInPodAffinity MultiCIDRServiceAllocator " +
  "MutableCSINodeAllocatableCount NFTablesProxyMode NodeInclusionPolicyInPodTopologySpread NodeLogQuery NodeSwap " +
  "OrderedNamespaceDeletion PodLifecycleSleepAction PodLifecycleSleepActionAllowZero PodObservedGenerationTracking " +
  "PodSchedulingReadiness PreferSameTrafficDistribution ProcMountType RecoverVolumeExpansionFailure " +
  "RecursiveReadOnlyMounts RelaxedDNSSearchValidation RelaxedEnvironmentVariableValidation " +
  "ResilientWatchCacheInitialization RetryGenerateName SELinuxChangePolicy SELinuxMountReadWriteOncePod " +
  "SchedulerQueueingHints SeparateCacheWatchRPC SeparateTaintEvictionController ServiceAccountTokenJTI " +
  "ServiceAccountTokenNodeBinding ServiceAccountTokenNodeBindingValidation ServiceAccountTokenPodNodeInfo " +
  "SidecarContainers StreamingCollectionEncodingToJSON StreamingCollectionEncodingToProtobuf " +
  "StructuredAuthenticationConfiguration SupplementalGroupsPolicy SystemdWatchdog TopologyManagerPolicyOptions " +
  "UserNamespacesSupport VolumeAttributesClass WinDSR WinOverlay ";

const names = (text: string): ReadonlySet<string> => new Set(text.split(" ").filter(Boolean));

/** What upstream says about gates that it doesn't know or that are locked. */
export function gateProblems(gates: Readonly<Record<string, boolean>>): string[] {
  const [known, on] = [names(open), names(locked)];
  return Object.entries(gates).flatMap(([name, value]) => {
    if (on.has(name)) return value ? [] : [`cannot set feature gate ${name} to false, feature is locked to true`];
    return known.has(name) ? [] : [`unrecognized feature gate: ${/^[\w]+$/.test(name) ? name : goQuote(name)}`];
  });
}
