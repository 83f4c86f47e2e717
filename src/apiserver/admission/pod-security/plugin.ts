/**
 * PodSecurity: namespaces say by labels how much their pods may do. Pods that break the enforced level are refused; what breaks the level
 * for warnings is let through with a warning, workloads too. Upstream's pod-security-admission without exemptions.
 */
import type { CronJob, Deployment, Namespace, Pod, PodTemplate, PodTemplateSpec } from "#api";
import { type DeepReadonly, printFieldErrors, statusError } from "#machinery";
import type { AdmissionPlugin, AdmissionRequest, Lookup } from "../chain.ts";
import { refuse } from "../refuse.ts";
import { type CheckedPod, printDetails, printReasons, violations } from "./checks.ts";
import { isSame, isStricter, type LevelVersion, type Policy, policyOf, printLevel } from "./policy.ts";

/** Pods of a namespace looked at when it becomes stricter; upstream's bound. */
const existingPodsMax = 3_000;

type TemplateOf = (object: unknown) => DeepReadonly<PodTemplateSpec> | undefined;
const ofSpec: TemplateOf = (object) => (object as Deployment).spec?.template; // the others are shaped like one

/** Where a workload has its pods. */
const templates: Readonly<Record<string, TemplateOf>> = {
  "/podtemplates": (object) => (object as PodTemplate).template,
  "/replicationcontrollers": ofSpec,
  "apps/replicasets": ofSpec,
  "apps/deployments": ofSpec,
  "apps/statefulsets": ofSpec,
  "apps/daemonsets": ofSpec,
  "batch/jobs": ofSpec,
  "batch/cronjobs": (object) => (object as CronJob).spec?.jobTemplate?.spec?.template,
};

const ignoredSubresources = new Set("exec attach binding eviction log portforward proxy status".split(" "));
const routeOf = ({ resource }: Pick<AdmissionRequest, "resource">) => `${resource.group}/${resource.resource}`;

export const podSecurity: AdmissionPlugin = {
  name: "PodSecurity",
  handles({ operation, resource, subresource }) {
    if (operation !== "CREATE" && operation !== "UPDATE") return false;
    const route = routeOf({ resource });
    if (route === "/pods") return !ignoredSubresources.has(subresource);
    return subresource === "" && (route === "/namespaces" || route in templates);
  },
  validate(request, lookup) {
    const route = routeOf(request);
    if (route === "/namespaces") return checkNamespace(request, lookup);
    return route === "/pods" ? checkPod(request, lookup) : checkWorkload(request, lookup);
  },
};

async function checkNamespace(request: AdmissionRequest, lookup: Lookup): Promise<void> {
  const { object, old, resource, warnings } = request;
  const next = policyOf(object?.metadata?.labels);
  const name = object?.metadata?.name ?? "";
  const invalid = () => statusError.invalid({ group: resource.group, kind: resource.kind }, name, next.errors);
  if (!old) {
    if (next.errors.length > 0) throw invalid();
    return;
  }
  const before = policyOf(old.metadata?.labels);
  if (next.errors.length > 0 && String(next.errors) !== String(before.errors)) throw invalid();
  const [now, then] = [next.policy.enforce, before.policy.enforce];
  if (isSame(now, then) || now.level === "privileged") return;
  if (now.minor === then.minor && !isStricter(now.level, then.level)) return;
  warnings.push(...(await existingPods(name, now, lookup)));
}

/** Warnings about the pods that are there already, those of the same fault in one. */
async function existingPods(namespace: string, enforce: LevelVersion, lookup: Lookup): Promise<string[]> {
  const all = byController(await lookup.list<Pod>(lookup.kind("", "pods"), namespace));
  const pods = all.slice(0, existingPodsMax);
  const byFault = new Map<string, string[]>();
  for (const { metadata, spec } of pods) {
    const found = spec ? violations({ metadata, spec }, enforce) : [];
    if (found.length === 0) continue;
    const fault = printReasons(found);
    byFault.set(fault, [...(byFault.get(fault) ?? []), metadata.name ?? ""]);
  }
  const warnings: string[] = [];
  if (pods.length < all.length)
    warnings.push(
      `new PodSecurity enforce level only checked against the first ${pods.length} of ${all.length} existing pods`,
    );
  if (byFault.size > 0)
    warnings.push(
      `existing pods in namespace ${JSON.stringify(namespace)} violate the new PodSecurity enforce level ${JSON.stringify(printLevel(enforce))}`,
    );
  return [...warnings, ...[...byFault].map(([fault, names]) => `${printNames(names)}: ${fault}`).sort()];
}

/** One pod of each controller first: its others are like it. */
function byController(pods: readonly DeepReadonly<Pod>[]): DeepReadonly<Pod>[] {
  const seen = new Set<string>();
  const others: DeepReadonly<Pod>[] = [];
  const first = pods.filter((pod) => {
    const owner = pod.metadata.ownerReferences?.find(({ controller }) => controller);
    if (!owner) return true;
    if (seen.has(owner.uid)) {
      others.push(pod);
      return false;
    }
    seen.add(owner.uid);
    return true;
  });
  return [...first, ...others];
}

function printNames(names: readonly string[]): string {
  const [first = ""] = [...names].sort();
  const more = names.length - 1;
  if (more === 0) return first;
  return `${first} (and ${more} other ${more === 1 ? "pod" : "pods"})`;
}

async function policyFor({ namespace, audit }: AdmissionRequest, lookup: Lookup): Promise<Policy> {
  const found = await lookup.get<Namespace>(lookup.kind("", "namespaces"), "", namespace);
  if (!found) throw statusError.internal(`failed to lookup namespace ${namespace}`);
  const { policy, errors } = policyOf(found.metadata.labels);
  if (errors.length > 0) audit?.annotate(`${auditPrefix}error`, `Failed to parse policy: ${printFieldErrors(errors)}`);
  return policy;
}

const auditPrefix = "pod-security.kubernetes.io/";

async function checkPod(request: AdmissionRequest, lookup: Lookup): Promise<void> {
  const policy = await policyFor(request, lookup);
  const { audit } = request;
  const modes = [policy.enforce, policy.warn, ...(audit ? [policy.audit] : [])];
  if (modes.every(({ level }) => level === "privileged")) {
    audit?.annotate(`${auditPrefix}enforce-policy`, printLevel(policy.enforce));
    return;
  }
  const [pod, old] = [request.object as Pod, request.old as DeepReadonly<Pod> | undefined]; // pods only
  if (!pod.spec || (old && !isSignificant(pod, old))) return;
  const checked = { metadata: pod.metadata, spec: pod.spec };
  audit?.annotate(`${auditPrefix}enforce-policy`, printLevel(policy.enforce));
  noteViolations(request, checked, policy.audit);
  const found = violations(checked, policy.enforce);
  if (found.length > 0)
    throw refuse(request, `violates PodSecurity ${JSON.stringify(printLevel(policy.enforce))}: ${printDetails(found)}`);
  warn(request, checked, policy.warn);
}

async function checkWorkload(request: AdmissionRequest, lookup: Lookup): Promise<void> {
  const { warn: level, audit } = await policyFor(request, lookup);
  if (level.level === "privileged" && !(request.audit && audit.level !== "privileged")) return;
  const template = templates[routeOf(request)]?.(request.object);
  if (!template?.spec) return;
  const checked = { metadata: template.metadata, spec: template.spec };
  noteViolations(request, checked, audit);
  warn(request, checked, level);
}

function warn({ warnings }: AdmissionRequest, pod: CheckedPod, level: LevelVersion): void {
  const text = wouldViolate(pod, level);
  if (text !== undefined) warnings.push(text);
}

/** The mode `audit`: only the log hears of it. */
function noteViolations({ audit }: AdmissionRequest, pod: CheckedPod, level: LevelVersion): void {
  const text = audit && wouldViolate(pod, level);
  if (text !== undefined) audit?.annotate(`${auditPrefix}audit-violations`, text);
}

function wouldViolate(pod: CheckedPod, level: LevelVersion): string | undefined {
  const found = violations(pod, level);
  if (found.length === 0) return undefined;
  return `would violate PodSecurity ${JSON.stringify(printLevel(level))}: ${printDetails(found)}`;
}

const seccompPod = "seccomp.security.alpha.kubernetes.io/pod";
const seccompContainer = "container.seccomp.security.alpha.kubernetes.io/";

/** Most updates of pods change nothing that counts here: images and annotations of seccomp do, and debug containers. */
function isSignificant(pod: DeepReadonly<Pod>, old: DeepReadonly<Pod>): boolean {
  const [now = {}, then = {}] = [pod.metadata.annotations, old.metadata.annotations];
  if (now[seccompPod] !== then[seccompPod]) return true;
  const changed = (
    a: { readonly name?: string; readonly image?: string },
    b: { readonly image?: string } | undefined,
  ): boolean =>
    !b || a.image !== b.image || now[seccompContainer + (a.name ?? "")] !== then[seccompContainer + (a.name ?? "")];
  for (const part of ["containers", "initContainers"] as const) {
    const [after, before] = [pod.spec?.[part] ?? [], old.spec?.[part] ?? []];
    if (after.length !== before.length || after.some((container, at) => changed(container, before[at]))) return true;
  }
  const debug = old.spec?.ephemeralContainers ?? [];
  return (pod.spec?.ephemeralContainers ?? []).some((container) =>
    changed(
      container,
      debug.find(({ name }) => name === container.name),
    ),
  );
}
