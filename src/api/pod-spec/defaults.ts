/**
 * What the API fills into pod specs: upstream's versioned defaults of PodSpec and all below it, and those of Pod alone.
 * Idempotent; changes its argument.
 */
import type { Lifecycle, Pod, PodSpec, PodTemplateSpec, Probe } from "../types.d.ts";
import type { AnyContainer } from "./containers-of.ts";
import { defaultPodLevelResources, requestLimits, roundResources } from "./default-resources.ts";
import { defaultVolume } from "./default-volumes.ts";
import { defaultPullPolicy } from "./image.ts";

const gracePeriodSeconds = 30;

export function defaultPodSpec(spec: PodSpec): void {
  // A list that clients must send is null when they don't; validation says so, the rest needn't ask.
  spec.containers ??= [];
  spec.dnsPolicy ||= "ClusterFirst";
  spec.restartPolicy ||= "Always";
  spec.securityContext ??= {};
  spec.terminationGracePeriodSeconds ??= gracePeriodSeconds;
  spec.schedulerName ||= "default-scheduler";
  shareAccountName(spec);
  for (const volume of spec.volumes ?? []) defaultVolume(volume);
  for (const container of spec.initContainers ?? []) defaultContainer(container);
  for (const container of spec.containers) defaultContainer(container);
  for (const container of spec.ephemeralContainers ?? []) defaultContainer(container);
  roundResources(spec.overhead);
  roundResources(spec.resources?.limits);
  roundResources(spec.resources?.requests);
}

/** serviceAccount is the old name of the field and always says the same. */
export function shareAccountName(spec: PodSpec): void {
  const name = spec.serviceAccountName || spec.serviceAccount;
  if (!name) return;
  spec.serviceAccountName = name;
  spec.serviceAccount = name;
}

function defaultContainer(container: AnyContainer): void {
  container.imagePullPolicy ||= defaultPullPolicy(container.image);
  container.terminationMessagePath ||= "/dev/termination-log";
  container.terminationMessagePolicy ||= "File";
  // Upstream's field is no pointer, so every container shows one.
  container.resources ??= {};
  roundResources(container.resources.limits);
  roundResources(container.resources.requests);
  for (const port of container.ports ?? []) port.protocol ||= "TCP";
  for (const { valueFrom } of container.env ?? []) {
    if (valueFrom?.fieldRef) valueFrom.fieldRef.apiVersion ||= "v1";
    if (valueFrom?.resourceFieldRef) valueFrom.resourceFieldRef.divisor ||= "0";
    if (valueFrom?.fileKeyRef) valueFrom.fileKeyRef.optional ??= false;
  }
  for (const probe of [container.livenessProbe, container.readinessProbe, container.startupProbe]) {
    if (probe) defaultProbe(probe);
  }
  if (container.lifecycle) defaultLifecycle(container.lifecycle);
}

function defaultProbe(probe: Probe): void {
  probe.timeoutSeconds ||= 1;
  probe.periodSeconds ||= 10;
  probe.successThreshold ||= 1;
  probe.failureThreshold ||= 3;
  defaultHttpGet(probe);
  if (probe.grpc) probe.grpc.service ??= "";
}

function defaultLifecycle({ postStart, preStop }: Lifecycle): void {
  if (postStart) defaultHttpGet(postStart);
  if (preStop) defaultHttpGet(preStop);
}

function defaultHttpGet({ httpGet }: Pick<Probe, "httpGet">): void {
  if (!httpGet) return;
  httpGet.path ||= "/";
  httpGet.scheme ||= "HTTP";
}

export function defaultPodTemplate(template: PodTemplateSpec): void {
  // Upstream's metadata is no pointer either.
  template.metadata ??= {};
  dropOldAnnotations(template.metadata.annotations);
  template.spec ??= { containers: [] };
  defaultPodSpec(template.spec);
}

/** What only a pod itself gets. */
export function defaultPod(pod: Pod): void {
  pod.spec ??= { containers: [] };
  const { spec } = pod;
  dropOldAnnotations(pod.metadata?.annotations);
  // Of pods alone: templates keep what they say.
  if ((spec.terminationGracePeriodSeconds ?? 0) < 0) spec.terminationGracePeriodSeconds = 1;
  requestLimits(spec.containers);
  requestLimits(spec.initContainers);
  defaultPodLevelResources(spec);
  spec.enableServiceLinks ??= true;
  if (spec.hostNetwork) {
    for (const container of [...(spec.containers ?? []), ...(spec.initContainers ?? [])]) {
      for (const port of container.ports ?? []) port.hostPort ||= port.containerPort;
    }
  }
  defaultPodSpec(spec);
}

/** Init containers were annotations once; the API has dropped those ever since they are a field. */
const oldAnnotations = [
  "pod.beta.kubernetes.io/init-containers",
  "pod.alpha.kubernetes.io/init-containers",
  "pod.beta.kubernetes.io/init-container-statuses",
  "pod.alpha.kubernetes.io/init-container-statuses",
];

function dropOldAnnotations(annotations: Record<string, string> | undefined): void {
  if (!annotations) return;
  for (const key of oldAnnotations) delete annotations[key];
}
