/**
 * Starts one container: image, configuration, creation, start, postStart hook. Each step that fails has a reason of its own, which becomes
 * the container's waiting reason, and an event.
 */
import { mkdir, readdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { containerConfig } from "../core/container-config.ts";
import { containerEnv } from "../core/env.ts";
import { serviceEnv, servicesFor } from "../core/service-env.ts";
import {
  type ContainerSpec,
  ephemeralContainers,
  newestContainer,
  type PodRuntime,
  type PodView,
} from "../core/types.ts";
import { checkNonRoot } from "../core/users.ts";
import { wording } from "../core/wording.ts";
import { CriError } from "../cri/client.ts";
import type { PodSandboxConfig } from "../cri/types.d.ts";
import { ImageError, type PresentImage } from "../images/image-manager.ts";
import { containerMounts } from "../volumes/container-mounts.ts";
import { hasImages, type MountedImage } from "../volumes/image-volumes.ts";
import type { MountedVolume } from "../volumes/manager.ts";
import { type PodContext, recordEvent } from "./context.ts";
import { readEnvSources } from "./env-values.ts";
import { runHook } from "./hooks.ts";
import { podCan } from "./runtime-class.ts";
import { stopContainer } from "./stop.ts";

export interface StartInput {
  readonly container: ContainerSpec;
  readonly sandboxId: string;
  readonly sandbox: PodSandboxConfig;
  readonly runtime: PodRuntime;
  readonly podIPs: readonly string[];
  readonly volumes: ReadonlyMap<string, MountedVolume>;
  readonly hostsPath: string;
  /** Restart count at least, from what was reported of runs that the runtime has forgotten. */
  readonly restartCountMin: number;
  readonly signal: AbortSignal;
}

export type StartResult =
  | { readonly started: true; readonly containerId: string }
  | {
      readonly started: false;
      readonly reason: string;
      readonly message: string;
      readonly retryAt?: number | undefined;
    };

/** Never rejects, except when the signal aborts. */
export async function startContainer(context: PodContext, pod: PodView, input: StartInput): Promise<StartResult> {
  const { container, signal } = input;
  const event = (type: "Normal" | "Warning", reason: string, message: string) =>
    recordEvent(context, pod, { type, reason, message, container });
  const problem = (reason: string, message: string, retryAt?: number): StartResult => ({
    started: false,
    reason,
    message,
    retryAt,
  });

  let image: PresentImage;
  let imageVolumes: ReadonlyMap<string, MountedImage> = new Map();
  try {
    const secrets = await pullSecrets(context, pod);
    const request = { pod, container, secrets, sandbox: input.sandbox, signal };
    if (hasImages(pod)) {
      const ofPod: typeof event = (type, reason, message) => recordEvent(context, pod, { type, reason, message });
      imageVolumes = await context.imageVolumes.ensure({ ...request, event: ofPod });
    }
    image = await context.images.ensure({ ...request, event });
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
    event("Warning", "Failed", `Error: ${error.reason}`);
    return problem(error.reason, error.message, error.retryAt);
  }

  let created: { id: string; logPath: string };
  try {
    const config = await configure(context, pod, { ...input, image, imageVolumes });
    signal.throwIfAborted();
    try {
      // Creating and starting are waited for, also when the pod is to end: a call given up half-way leaves a container that the
      // runtime neither runs nor lets go.
      const { containerId } = await context.cri.runtime.createContainer({
        podSandboxId: input.sandboxId,
        config,
        sandboxConfig: input.sandbox,
      });
      context.observer.note(containerId, pod.metadata.uid ?? "");
      void context.resizes.told(pod, container);
      created = { id: containerId, logPath: config.logPath ?? "" };
    } catch (error) {
      if (!(error instanceof CriError)) throw error;
      event("Warning", "Failed", `Error: ${error.details}`);
      return problem("CreateContainerError", error.details);
    }
  } catch (error) {
    signal.throwIfAborted();
    const message = error instanceof Error ? error.message : String(error);
    event("Warning", "Failed", `Error: ${message}`);
    return problem("CreateContainerConfigError", message);
  }
  event("Normal", "Created", wording.created(container.name));

  signal.throwIfAborted();
  try {
    await context.cri.runtime.startContainer({ containerId: created.id });
  } catch (error) {
    if (!(error instanceof CriError)) throw error;
    const message = error.details.replaceAll(created.id, container.name);
    event("Warning", "Failed", `Error: ${message}`);
    return problem("RunContainerError", message);
  }
  event("Normal", "Started", wording.started(container.name));
  await linkLog(context, pod, { container, ...created });

  const postStart = container.lifecycle?.postStart;
  if (!postStart) return { started: true, containerId: created.id };
  const podIP = input.podIPs[0] ?? "";
  const failed = await runHook(postStart, {
    ...context,
    pod,
    container,
    containerId: created.id,
    podIP,
    signal,
    event,
  });
  signal.throwIfAborted();
  if (failed === undefined) return { started: true, containerId: created.id };
  event("Warning", "FailedPostStartHook", wording.postStartFailed());
  const current = newestContainer(await context.observer.pod(input.runtime.uid, input.runtime), container.name);
  if (current) await stopContainer(context, pod, { container: current, message: "FailedPostStartHook", podIP, signal });
  return problem("PostStartHookError", failed);
}

/** Rejects with the message of a CreateContainerConfigError. */
async function configure(
  context: PodContext,
  pod: PodView,
  input: StartInput & { image: PresentImage; imageVolumes: ReadonlyMap<string, MountedImage> },
) {
  const { container, runtime, image } = input;
  const { node, layout } = context;
  const { name = "", namespace = "", uid = "" } = pod.metadata;
  const sources = await readEnvSources(context, { pod, container, volumes: input.volumes });
  const variables = containerEnv(pod, container, {
    podIPs: input.podIPs,
    hostIPs: node.hostIPs(),
    allocatable: node.allocatable(),
    services: serviceEnv(servicesFor(pod, context.services.list())),
    sources,
  });
  checkNonRoot(pod, container, image.user);

  const last = newestContainer(runtime, container.name);
  const logFolder = join(layout.podLogs({ namespace, name, uid }), container.name);
  const restartCount = last ? last.restartCount + 1 : Math.max(await nextLog(logFolder), input.restartCountMin);
  await mkdir(logFolder, { recursive: true, mode: 0o755 });
  const target = ephemeralContainers(pod).find((one) => one.name === container.name) as
    | { targetContainerName?: string }
    | undefined; // a debug container has one more field
  const targetName = target?.targetContainerName;
  const targetId = targetName ? newestContainer(runtime, targetName)?.id : undefined;
  if (targetName && !targetId) throw new Error(`unable to find target container ${targetName}`);
  const devices = [...context.devices.cdiDevices(pod, container)];
  const answers = await context.resources.forStart(pod, container);
  let config = containerConfig(pod, container, {
    restartCount,
    imageRef: image.id,
    imageUser: image.user,
    variables,
    mounts: await containerMounts(pod, container, {
      layout,
      volumes: input.volumes,
      variables,
      hostsPath: input.hostsPath,
      images: input.imageVolumes,
      canRecursiveReadOnly:
        (container.volumeMounts ?? []).some((mount) => mount.recursiveReadOnly !== undefined) &&
        (await podCan(context, pod, "recursiveReadOnlyMounts")),
      log: context.log,
    }),
    resources: context.resources.linux(pod, container),
    logPath: `${container.name}/${restartCount}.log`,
    seccompRoot: layout.seccomp,
    seccompDefault: context.config.seccompDefault,
    thermalPaths: node.thermalPaths,
    users: input.sandbox.linux?.securityContext?.namespaceOptions?.usernsOptions,
    targetId,
  });
  if (container.volumeDevices?.length) {
    const { containerDevices } = await import("../volumes/block/container-devices.ts");
    config.devices = [...(config.devices ?? []), ...containerDevices(container, input.volumes)];
  }
  if (answers && answers.length > 0) {
    const applied = (await import("../device-plugins/apply-answers.ts")).applyAnswers(config, answers);
    config = applied.config;
    devices.push(...applied.cdiDevices);
  }
  if (devices.length === 0) return config;
  return context.cdiFolders
    ? (await import("../devices/cdi.ts")).applyCdi(config, devices, context.cdiFolders)
    : { ...config, cDIDevices: devices.map((name) => ({ name })) };
}

/** Pull secrets that are there; a missing one is only missed if the registry wants it. */
async function pullSecrets(context: PodContext, pod: PodView) {
  const namespace = pod.metadata.namespace ?? "";
  const names = (pod.spec?.imagePullSecrets ?? []).flatMap(({ name }) => (name ? [name] : []));
  const found = await Promise.all(
    names.map((name) => context.objects.secret({ namespace, name }).catch(() => undefined)),
  );
  const missing = names.filter((_, at) => !found[at]);
  if (missing.length > 0)
    recordEvent(context, pod, {
      type: "Warning",
      reason: "FailedToRetrieveImagePullSecret",
      message: `Unable to retrieve some image pull secrets (${missing.join(", ")}); attempting to pull the image may not succeed.`,
    });
  return found.filter((secret) => secret !== undefined);
}

/** One more than the newest log that is there, since the runtime may have forgotten earlier runs (a reboot). */
async function nextLog(folder: string): Promise<number> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  return Math.max(
    0,
    ...names.flatMap(
      (name) =>
        /^(\d+)\.log/
          .exec(name)
          ?.slice(1)
          .map((digits) => Number(digits) + 1) ?? [],
    ),
  );
}

/** `/var/log/containers/<pod>_<namespace>_<container>-<id>.log`, where log collectors look. */
async function linkLog(
  { layout, log }: PodContext,
  pod: PodView,
  { container, id, logPath }: { container: ContainerSpec; id: string; logPath: string },
): Promise<void> {
  const { name = "", namespace = "", uid = "" } = pod.metadata;
  const link = join(layout.containerLogs, `${name}_${namespace}_${container.name}-${id}.log`);
  await symlink(join(layout.podLogs({ namespace, name, uid }), logPath), link).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") log.warn("a container's log could not be linked", { link, error });
  });
}
