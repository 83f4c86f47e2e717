/** The volumes of one pod: set up once for a spec, tried again at growing intervals, and told of when they keep the pod waiting. */
import { backoffMs } from "#base";
import type { PodRuntime, PodView } from "../core/types.ts";
import { type MountedVolume, VolumeError, type VolumeFailure } from "../volumes/manager.ts";
import { type PodContext, recordEvent } from "./context.ts";

export interface PodVolumes {
  /** Undefined until all of them were there. */
  mounted(): ReadonlyMap<string, MountedVolume> | undefined;
  /** Answers whether all are there. */
  setUp(pod: PodView, runtime: PodRuntime): Promise<boolean>;
  /** When to try again after a failure. */
  notBefore(): number;
  /** What was missing may be there now. */
  retryNow(): void;
}

const retry = { initialMs: 500, maxMs: 122_000 };

export function createPodVolumes(context: PodContext): PodVolumes {
  const { clock } = context;
  let volumes: ReadonlyMap<string, MountedVolume> | undefined;
  let volumesFor: PodView["spec"];
  let failures = 0;
  let notBefore = 0;

  const warn = (pod: PodView, reason: string, message: string) =>
    recordEvent(context, pod, { type: "Warning", reason, message });

  function tell(pod: PodView, failed: readonly VolumeFailure[]): void {
    const names = (some: readonly VolumeFailure[]) => some.map(({ volume }) => volume).join(" ");
    for (const { event } of failed) if (event) recordEvent(context, pod, { type: "Warning", ...event });
    const unprocessed = failed.filter(({ isUnprocessed }) => isUnprocessed);
    // Waiting for what is known is told by the volumes' own events.
    if (unprocessed.length === 0) return;
    const why = unprocessed.map(({ message }) => message).join("; ");
    warn(
      pod,
      "FailedMount",
      `Unable to attach or mount volumes: unmounted volumes=[${names(failed)}], unattached volumes=[], failed to process volumes=[${names(unprocessed)}]: ${why}`,
    );
  }

  return {
    mounted: () => volumes,
    notBefore: () => notBefore,
    retryNow() {
      notBefore = 0;
    },
    async setUp(pod, runtime) {
      if (volumes && volumesFor === pod.spec) return true;
      if (clock.now() < notBefore) return false;
      try {
        volumes = await context.volumes.setUp(pod, {
          podIPs: runtime.sandboxes[0]?.ips ?? [],
          hostIPs: context.node.hostIPs(),
          allocatable: context.node.allocatable(),
        });
        volumesFor = pod.spec;
        for (const { warning } of volumes.values()) if (warning) warn(pod, "AlreadyMountedVolume", warning);
        failures = 0;
        return true;
      } catch (error) {
        if (!(error instanceof VolumeError)) throw error;
        tell(pod, error.failures);
        failures++;
        notBefore = clock.now() + backoffMs(failures, retry);
        return false;
      }
    },
  };
}
