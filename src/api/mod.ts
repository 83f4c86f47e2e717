export {
  type Facts,
  facts,
  type GroupVersionFacts,
  type ResourceFacts,
  type SubresourceFacts,
  splitGroupVersion,
} from "./facts.ts";
export {
  type Column,
  defineKind,
  type FieldText,
  type GracefulDeletion,
  type Kind,
  type RequestUser,
  type Strategy,
  type WriteContext,
} from "./kind.ts";
export * from "./apiextensions/mod.ts";
export type * from "./types.d.ts";
export { type CompiledExpression, ExpressionCompiler } from "./admissionregistration/expressions.ts";
export { type CelEngine, celEngine, loadCel } from "./cel-engine.ts";
export { completeServiceAddresses, defineServiceKind } from "./core/service.ts";
export type { ClusterFamilies, IpFamily } from "./core/service/families.ts";
export { type Address, isIpv6Text, parseCidr, parseIp, printIp } from "./ip.ts";
export { creationText } from "./columns.ts";
export { withScaleToZero } from "./autoscaling/horizontal-pod-autoscaler.ts";
export { kinds } from "./kinds.ts";
export { customScaleKind, scaleKind } from "./autoscaling/scale.ts";
export { readSchedule, ScheduleError } from "./batch/cron-job/schedule.ts";
export { isTimeZone } from "./batch/cron-job/time-zone.ts";
export { contentOf, derTag, readDer, readInside, writeDer } from "./certificates/der.ts";
export { type CertificateRequest, CertificateRequestError, readCertificateRequest } from "./certificates/request.ts";
export { mandatoryFlowSchemas, mandatoryPriorityLevels } from "./flowcontrol/mandatory.ts";
export { podSums } from "./pod-spec/aggregate.ts";
export { isExtendedResource } from "./resource-names.ts";
export { type PodReferences, podReferences, volumeSecrets } from "./pod-spec/references.ts";
export { compareVersions, readVersion, type SemanticVersion } from "./coordination/semantic-version.ts";
export { coordinatedKinds } from "./coordination/lease.ts";
export { countedNames, missingAmounts, quotaMatches } from "./quota/match.ts";
export { type QuotaUsage, quotaUsage } from "./quota/usage.ts";
export * from "./local-path.ts";
export type { ContainerPoint, NodeUsage, UsagePoint } from "./usage.ts";
export * from "./resource/pod-claims.ts";
export { compileDeviceExpression, deviceValue, matchesDevice } from "./resource/device-expressions.ts";
