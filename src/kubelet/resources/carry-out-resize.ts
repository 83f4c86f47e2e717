/**
 * Changes a running pod's resources: memory first, then cpu; the pod's group grows before its containers and shrinks after them, so that what they may
 * use is never more than what it may. A failure ends it half-way; the next look goes on from there.
 */
import type { ContainerUpdate, ResizableName, ResizePlan } from "../core/resize.ts";
import { podCgroupResources } from "../core/resources.ts";
import type { ContainerSpec, PodView } from "../core/types.ts";
import { printPod } from "../core/types.ts";
import { CriError } from "../cri/client.ts";
import type { GroupValues } from "../node/cgroups.ts";
import type { PodContext } from "../pods/context.ts";

/** Rejects with the message of `ResizeError`. */
export async function carryOutResize(
  context: PodContext,
  pod: PodView,
  { plan, sandboxId }: { plan: ResizePlan; sandboxId: string },
): Promise<void> {
  const { cgroups, config, resizes } = context;
  const wanted = podCgroupResources(pod, { config, cgroupVersion: cgroups.hierarchy?.version ?? 1 });
  const current = await cgroups.values(pod);
  if (!current && cgroups.groupOf(pod) !== undefined)
    throw new Error(`unable to get pod cgroup memory config for pod ${JSON.stringify(printPod(pod))}`);
  // A limit that isn't named any more stays: removing limits isn't part of it.
  const memory = wanted.memoryLimitBytes || current?.memoryLimitBytes || -1;
  const quota = context.resources.hasOwnCpus(pod) ? -1 : wanted.cpuQuotaUs || (current?.cpuQuotaUs ?? -1);
  if (plan.updates.memory.length > 0 || plan.restart.size > 0)
    await checkMemory(context, pod, { updates: plan.updates.memory, from: current?.memoryLimitBytes, to: memory });

  const setGroup = async (values: GroupValues) => {
    await tellRuntime(context, pod, { sandboxId, values });
    await cgroups.change(pod, values);
  };
  const known = new Map<string, ContainerSpec>();
  const change = async (name: ResizableName, steps: readonly { from: number; to: number; values: GroupValues }[]) => {
    // No limit is the largest.
    const size = (value: number) => (value < 0 ? Number.POSITIVE_INFINITY : value);
    if (current) for (const { from, to, values } of steps) if (size(to) > size(from)) await setGroup(values);
    for (const update of plan.updates[name]) await updateContainer(context, pod, { update, name, known });
    if (current)
      for (const { from, to, values } of steps.toReversed()) if (size(to) < size(from)) await setGroup(values);
  };
  const isWhole = plan.restart.size > 0 || plan.podLevel;
  if (isWhole || plan.updates.memory.length > 0)
    await change("memory", [
      { from: current?.memoryLimitBytes ?? -1, to: memory, values: { memoryLimitBytes: memory } },
    ]);
  if (isWhole || plan.updates.cpu.length > 0)
    await change("cpu", [
      {
        from: current?.cpuQuotaUs ?? -1,
        to: quota,
        values: { cpuQuotaUs: quota, cpuPeriodUs: wanted.cpuPeriodUs },
      },
      { from: current?.cpuShares ?? 0, to: wanted.cpuShares, values: { cpuShares: wanted.cpuShares } },
    ]);
  if (plan.podLevel) await resizes.toldPod(pod);
}

async function updateContainer(
  context: PodContext,
  pod: PodView,
  { update, name, known }: { update: ContainerUpdate; name: ResizableName; known: Map<string, ContainerSpec> },
): Promise<void> {
  const { container, id, from, to } = update;
  // The other of the two stays as it is until its turn.
  const sizes = { ...from, ...(known.has(container.name) ? { memory: to.memory } : {}), [name]: to[name] };
  const amount = (kind: "request" | "limit"): Record<string, string> => ({
    cpu: `${sizes.cpu[kind]}m`,
    memory: String(sizes.memory[kind]),
  });
  const { resources = {} } = container;
  const stage: ContainerSpec = {
    ...container,
    resources: {
      ...resources,
      requests: { ...resources.requests, ...amount("request") },
      limits: { ...resources.limits, ...amount("limit") },
    },
  };
  await context.cri.runtime.updateContainerResources({ containerId: id, linux: context.resources.linux(pod, stage) });
  context.observer.forget(id);
  known.set(container.name, stage);
  await context.resizes.told(pod, asWritten(stage, container));
}

/** Amounts as people wrote them where they are the same, and none where there were none. */
function asWritten(stage: ContainerSpec, { resources }: ContainerSpec): ContainerSpec {
  const of = (kind: "requests" | "limits") =>
    Object.fromEntries(
      Object.entries(stage.resources?.[kind] ?? {}).filter(
        ([name, value]) => resources?.[kind]?.[name] !== undefined || !/^0m?$/.test(value),
      ),
    );
  return { ...stage, resources: { ...resources, requests: of("requests"), limits: of("limits") } };
}

/** Best effort, as upstream: runtimes that don't know the call are many. */
async function tellRuntime(
  context: PodContext,
  pod: PodView,
  { sandboxId, values }: { sandboxId: string; values: GroupValues },
): Promise<void> {
  try {
    await context.cri.runtime.updatePodSandboxResources({
      podSandboxId: sandboxId,
      resources: {
        ...(values.cpuShares === undefined ? {} : { cpuShares: values.cpuShares }),
        ...(values.cpuQuotaUs === undefined ? {} : { cpuQuota: values.cpuQuotaUs, cpuPeriod: values.cpuPeriodUs ?? 0 }),
        ...(values.memoryLimitBytes === undefined ? {} : { memoryLimitInBytes: values.memoryLimitBytes }),
      },
    });
  } catch (error) {
    const isUnknown =
      error instanceof CriError &&
      (error.code === "UNIMPLEMENTED" || (error.code === "UNKNOWN" && error.details.includes("not implemented")));
    if (!isUnknown)
      throw new Error(
        `failed to notify runtime for UpdatePodSandboxResources; resize rejected: updatePodSandboxResources failed for sanboxID ${JSON.stringify(sandboxId)}: ${(error as Error).message}`, // calls fail with errors
        { cause: error },
      );
    context.log.debug("the runtime isn't told of pods' resources", { pod: printPod(pod) });
  }
}

/** A limit below what is in use would have the kernel kill. */
async function checkMemory(
  { cgroups }: PodContext,
  pod: PodView,
  { updates, from, to }: { updates: readonly ContainerUpdate[]; from: number | undefined; to: number },
): Promise<void> {
  const errors: string[] = [];
  if (from !== undefined && to > 0 && (from < 0 || to < from)) {
    const usage = await cgroups.memoryUsage(pod);
    if (usage === undefined) errors.push("missing pod memory usage");
    else if (usage >= to) errors.push(`attempting to set pod memory limit (${to}) below current usage (${usage})`);
  }
  for (const { container, id, from: was, to: will } of updates) {
    const limit = will.memory.limit;
    if (limit === 0 || (was.memory.limit !== 0 && limit >= was.memory.limit)) continue;
    const usage = await cgroups.memoryUsage(pod, id);
    const name = JSON.stringify(container.name);
    if (usage === undefined) errors.push(`missing container ${name} memory usage`);
    else if (usage >= limit)
      errors.push(`attempting to set container ${name} memory limit (${limit}) below current usage (${usage})`);
  }
  if (errors.length > 0)
    throw new Error(`cannot decrease memory limits: ${errors.length === 1 ? errors[0] : `[${errors.join(", ")}]`}`);
}
