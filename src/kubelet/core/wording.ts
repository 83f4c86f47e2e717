/**
 * Texts that people and tests see in events, in one place: they follow the recorded answers of upstream 1.24 (compat/) where later
 * releases only reworded them (1.35: "Container created"). Reasons and meanings are the same in all releases.
 */
export const wording = {
  created: (container: string) => `Created container ${container}`,
  started: (container: string) => `Started container ${container}`,
  backOffRestart: () => "Back-off restarting failed container",
  postStartFailed: () => "PostStartHook failed",
  preStopFailed: () => "PreStopHook failed",
  pullPresent: (image: string) => `Container image ${JSON.stringify(image)} already present on machine`,
  neverPull: (image: string) => `Container image ${JSON.stringify(image)} is not present with pull policy of Never`,
  pulling: (image: string) => `Pulling image ${JSON.stringify(image)}`,
  pulled: (image: string, took: string, waited: string, bytes: number) =>
    `Successfully pulled image ${JSON.stringify(image)} in ${took} (${waited} including waiting). Image size: ${bytes} bytes.`,
  pullFailed: (image: string, why: string) => `Failed to pull image ${JSON.stringify(image)}: ${why}`,
  backOffPull: (image: string) => `Back-off pulling image ${JSON.stringify(image)}`,
  stopping: (container: string) => `Stopping container ${container}`,
  sandboxChanged: () => "Pod sandbox changed, it will be killed and re-created.",
  deadline: () => "Pod was active on the node longer than the specified deadline",
};
