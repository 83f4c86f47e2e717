/** Who a container runs as, from the pod's and the container's security context and the image. */
import { goQuote } from "#machinery";
import { type ContainerSpec, type PodView, printPod } from "./types.ts";

/** The user an image names: a number, or a name that only the image can resolve. */
export interface ImageUser {
  readonly uid: number | undefined;
  readonly name: string;
}

export interface EffectiveUser {
  readonly runAsUser: number | undefined;
  readonly runAsGroup: number | undefined;
  readonly runAsNonRoot: boolean;
}

export function effectiveUser(pod: PodView, container: ContainerSpec): EffectiveUser {
  const whole = pod.spec?.securityContext;
  const own = container.securityContext;
  return {
    runAsUser: own?.runAsUser ?? whole?.runAsUser,
    runAsGroup: own?.runAsGroup ?? whole?.runAsGroup,
    runAsNonRoot: own?.runAsNonRoot ?? whole?.runAsNonRoot ?? false,
  };
}

const uidMax = 2 ** 31 - 1;

/** Throws when the container must not run as root but would, or nobody can tell. */
export function checkNonRoot(pod: PodView, container: ContainerSpec, image: ImageUser): void {
  const { runAsUser, runAsNonRoot } = effectiveUser(pod, container);
  if (!runAsNonRoot) return;
  const where = `(pod: ${goQuote(printPod(pod))}, container: ${container.name})`;
  if (runAsUser === 0) throw new Error(`container's runAsUser breaks non-root policy ${where}`);
  if (runAsUser !== undefined) return;
  if (image.uid === 0) throw new Error(`container has runAsNonRoot and image will run as root ${where}`);
  if (image.uid !== undefined && (image.uid < 0 || image.uid > uidMax))
    throw new Error(
      `container has runAsNonRoot and image has an invalid user id (${image.uid}). (Must be 1-(${uidMax})): must be between 0 and ${uidMax}, inclusive ${where}`,
    );
  if (image.uid === undefined && image.name)
    throw new Error(
      `container has runAsNonRoot and image has non-numeric user (${image.name}), cannot verify user is non-root ${where}`,
    );
}

/** Groups that every process of the pod gets beside its own. */
export function supplementalGroups(pod: PodView): number[] {
  const { fsGroup, supplementalGroups: groups = [] } = pod.spec?.securityContext ?? {};
  return [...(fsGroup === undefined ? [] : [fsGroup]), ...groups];
}
