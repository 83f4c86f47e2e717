/** The request for one container. */
import type { ContainerConfig, LinuxContainerResources, Mount, Signal } from "../cri/types.d.ts";
import { containerHash } from "./container-hash.ts";
import { expandCommand } from "./env.ts";
import { containerAnnotations, containerLabels } from "./labels.ts";
import { containerSecurity, type SecurityInput } from "./security-context.ts";
import type { ContainerSpec, PodView } from "./types.ts";
import type { ImageUser } from "./users.ts";

export interface ContainerInput extends SecurityInput {
  readonly restartCount: number;
  /** The runtime's name of the image (an id), so that no tag can move in between. */
  readonly imageRef: string;
  readonly imageUser: ImageUser;
  readonly variables: ReadonlyMap<string, string>;
  readonly mounts: readonly Mount[];
  readonly resources: LinuxContainerResources;
  /** Relative to the sandbox's log directory. */
  readonly logPath: string;
  /** Container whose processes a debug container sees. */
  readonly targetId?: string | undefined;
}

export function containerConfig(pod: PodView, container: ContainerSpec, input: ContainerInput): ContainerConfig {
  const { restartCount } = input;
  const { command, args } = expandCommand(container, input.variables);
  const signal = container.lifecycle?.stopSignal;
  const { uids = [], gids = [] } = input.users ?? {};
  // Files of volumes belong to the same ids inside as without a namespace.
  const mapped = uids.length > 0 ? { uidMappings: uids, gidMappings: gids } : {};
  return {
    metadata: { name: container.name, attempt: restartCount },
    image: { image: input.imageRef, userSpecifiedImage: container.image ?? "" },
    command,
    args,
    workingDir: container.workingDir ?? "",
    envs: [...input.variables].map(([key, value]) => ({ key, value: Buffer.from(value) })),
    mounts: input.mounts.map((mount) => ({ ...mount, ...mapped })),
    labels: containerLabels(pod, container),
    annotations: containerAnnotations(pod, container, { hash: containerHash(container), restartCount }),
    logPath: input.logPath,
    stdin: container.stdin ?? false,
    stdinOnce: container.stdinOnce ?? false,
    tty: container.tty ?? false,
    ...(signal ? { stopSignal: signal as Signal } : {}), // validated by the API server
    linux: {
      resources: input.resources,
      securityContext: containerSecurity(pod, container, input),
    },
  };
}
