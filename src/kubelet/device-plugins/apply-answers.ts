/** Puts what device plugins want for a container into the request for it. What comes first stays, as upstream. */
import type { ContainerConfig } from "../cri/types.d.ts";
import type { ContainerAnswer } from "./device-checkpoint.ts";

/** Answers the names of CDI devices too: those of claims are added with them. */
export function applyAnswers(
  config: ContainerConfig,
  answers: readonly ContainerAnswer[],
): { config: ContainerConfig; cdiDevices: string[] } {
  const firstOf = <T>(items: readonly T[], key: (item: T) => string, taken: Iterable<string> = []): T[] => {
    const known = new Set(taken);
    return items.filter((item) => !known.has(key(item)) && known.add(key(item)));
  };
  // What the pod says of a variable goes before.
  const own = (config.envs ?? []).map(({ key = "" }) => key);
  const envs = firstOf(
    answers.flatMap((answer) => Object.entries(answer.envs)),
    ([name]) => name,
    own,
  );
  const mounts = firstOf(
    answers.flatMap((answer) => answer.mounts),
    ({ containerPath }) => containerPath,
  );
  const devices = firstOf(
    answers.flatMap((answer) => answer.devices),
    ({ containerPath }) => containerPath,
  );
  return {
    config: {
      ...config,
      envs: [...envs.map(([key, value]) => ({ key, value: Buffer.from(value) })), ...(config.envs ?? [])],
      mounts: [
        ...(config.mounts ?? []),
        ...mounts.map(({ containerPath, hostPath, readOnly }) => ({ containerPath, hostPath, readonly: readOnly })),
      ],
      devices: [...(config.devices ?? []), ...devices.map((device) => ({ ...device }))],
      annotations: { ...Object.assign({}, ...answers.map(({ annotations }) => annotations)), ...config.annotations },
    },
    cdiDevices: [...new Set(answers.flatMap((answer) => answer.cdiDevices.map(({ name }) => name)))],
  };
}
