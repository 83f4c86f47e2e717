/** Containers of a pod: what all three kinds have in common and what only one of them may have. */
import { isDns1123Label } from "#machinery";
import type { Place } from "../place.ts";
import type { Container, ContainerResizePolicy, EphemeralContainer, PodSpec } from "../types.d.ts";
import type { PodCheck } from "./check.ts";
import { type AnyContainer, isSidecar } from "./containers-of.ts";
import { validateEnv, validateEnvFrom } from "./env.ts";
import { validatePullPolicy } from "./image.ts";
import { validateMounts } from "./mounts.ts";
import { validateHostPorts, validatePorts } from "./ports.ts";
import { validateLifecycleAndProbes } from "./probes.ts";
import { validateContainerResources } from "./resources.ts";
import { validateRestartPolicy } from "./restart-policy.ts";
import { validateContainerSecurity } from "./security-context.ts";

const messagePolicies = ["File", "FallbackToLogsOnError"];

function validateCommon(container: AnyContainer, at: Place, check: PodCheck): void {
  const { name = "", image, terminationMessagePolicy } = container;
  if (name === "") at.child("name").required();
  else at.child("name").invalidEach(name, isDns1123Label(name));
  if (!image) at.child("image").required();
  if (!terminationMessagePolicy) at.child("terminationMessagePolicy").required();
  else if (!messagePolicies.includes(terminationMessagePolicy)) {
    at.child("terminationMessagePolicy").notSupported(terminationMessagePolicy, messagePolicies);
  }
  if (container.ports) validatePorts(container.ports, at.child("ports"));
  if (container.env) validateEnv(container.env, at.child("env"));
  if (container.envFrom) validateEnvFrom(container.envFrom, at.child("envFrom"));
  validateMounts(container, at, check.volumes);
  validatePullPolicy(container.imagePullPolicy, at.child("imagePullPolicy"));
  if (container.resources) validateContainerResources(container.resources, at.child("resources"), check);
  if (container.resizePolicy) validateResizePolicy(container.resizePolicy, at.child("resizePolicy"), check.spec);
  if (container.securityContext) {
    validateContainerSecurity(container.securityContext, at.child("securityContext"), check);
  }
}

const resizeResources = ["cpu", "memory"];
const resizePolicies = ["NotRequired", "RestartContainer"];

function validateResizePolicy(policies: readonly ContainerResizePolicy[], at: Place, spec: PodSpec): void {
  const seen = new Set<string>();
  policies.forEach(({ resourceName = "", restartPolicy = "" }, i) => {
    if (seen.has(resourceName)) at.index(i).duplicate(resourceName);
    seen.add(resourceName);
    if (resourceName === "") at.required();
    else if (!resizeResources.includes(resourceName)) at.notSupported(resourceName, resizeResources);
    if (restartPolicy === "") at.required();
    else if (!resizePolicies.includes(restartPolicy)) at.notSupported(restartPolicy, resizePolicies);
    if (spec.restartPolicy === "Never" && restartPolicy !== "NotRequired") {
      at.invalid(restartPolicy, "must be 'NotRequired' when pod `restartPolicy` is 'Never'");
    }
  });
}

export function validateContainers(at: Place, check: PodCheck): void {
  const { spec } = check;
  const containers = spec.containers ?? [];
  if (containers.length === 0) {
    at.required();
    return;
  }
  const names = new Set<string>();
  const probeCheck = { gracePeriod: spec.terminationGracePeriodSeconds, os: spec.os };
  containers.forEach((container, i) => {
    const place = at.index(i);
    validateCommon(container, place, check);
    takeName(container, place, names);
    validateLifecycleAndProbes(container, place, probeCheck);
    validateRestartPolicy(container, place);
  });
  validateHostPorts(containers, at);
}

function takeName({ name = "" }: AnyContainer, at: Place, names: Set<string>): void {
  if (names.has(name)) at.child("name").duplicate(name);
  names.add(name);
}

const probeFields = ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] as const;

export function validateInitContainers(containers: readonly Container[], at: Place, check: PodCheck): void {
  const { spec } = check;
  const names = new Set(spec.containers?.map((container) => container.name));
  const probeCheck = { gracePeriod: spec.terminationGracePeriodSeconds, os: spec.os };
  containers.forEach((container, i) => {
    const place = at.index(i);
    validateCommon(container, place, check);
    validateRestartPolicy(container, place);
    if (container.name) takeName(container, place, names);
    // They run one after the other, so only a container's own ports can clash.
    validateHostPorts([container], at);
    if (isSidecar(container)) {
      validateLifecycleAndProbes(container, place, probeCheck);
      return;
    }
    for (const field of probeFields) {
      if (!container[field]) continue;
      place.child(field).forbidden("may not be set for init containers without restartPolicy=Always");
    }
    if (!check.tolerate.initResizePolicies) validateInitResize(container, place);
  });
}

function validateInitResize(container: Container, at: Place): void {
  container.resizePolicy?.forEach(({ restartPolicy }, i) => {
    if (restartPolicy !== "RestartContainer") return;
    const place = at.child("resizePolicy").index(i).child("restartPolicy");
    place.invalid(restartPolicy, "must not be set to 'RestartContainer' for non-sidecar initContainers");
  });
}

/** In the order of upstream's type: that is the order of the errors. */
const fieldsOfNoEphemeralContainer = [
  "ports",
  "resources",
  "resizePolicy",
  "restartPolicy",
  "restartPolicyRules",
  "livenessProbe",
  "readinessProbe",
  "startupProbe",
  "lifecycle",
] as const;

export function validateEphemeralContainers(
  containers: readonly EphemeralContainer[],
  at: Place,
  check: PodCheck,
): void {
  const { spec } = check;
  const targets = new Set([...(spec.containers ?? []), ...(spec.initContainers ?? [])].map(({ name }) => name));
  const names = new Set(targets);
  const why = "cannot be set for an Ephemeral Container";
  containers.forEach((container, i) => {
    const place = at.index(i);
    validateCommon(container, place, check);
    validateImageOfPod(container, place);
    takeName(container, place, names);
    const target = container.targetContainerName;
    if (target && !targets.has(target)) place.child("targetContainerName").notFound(target);
    for (const field of fieldsOfNoEphemeralContainer) if (isSet(container[field])) place.child(field).forbidden(why);
    container.volumeMounts?.forEach((mount, j) => {
      const mountAt = place.child("volumeMounts").index(j);
      if (mount.subPath) mountAt.child("subPath").forbidden(why);
      if (mount.subPathExpr) mountAt.child("subPathExpr").forbidden(why);
    });
  });
}

/** `resources: {}` is the zero value of upstream's type. */
function isSet(value: object | string | undefined): boolean {
  return value !== undefined && value !== "" && (typeof value === "string" || Object.keys(value).length > 0);
}

/** A template may have a placeholder with spaces; what runs may not. */
export function validateImageOfPod({ image = "" }: AnyContainer, at: Place): void {
  if (image !== image.trim()) at.child("image").invalid(image, "must not have leading or trailing whitespace");
}
