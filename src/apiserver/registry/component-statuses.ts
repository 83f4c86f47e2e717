/** ComponentStatus: the parts of the control plane, which here are one process. Never stored; old dashboards look at it. */
import type { Answer } from "../answer.ts";
import type { Call } from "./call.ts";
import { plainError } from "./errors.ts";

const components = ["controller-manager", "etcd-0", "scheduler"];

const status = (name: string) => ({
  kind: "ComponentStatus",
  apiVersion: "v1",
  metadata: { name },
  conditions: [{ type: "Healthy", status: "True", message: "ok" }],
});

export async function componentStatuses({ target, verb }: Call): Promise<Answer> {
  if (verb === "list") {
    const items = components.map((name) => ({ ...status(name), kind: undefined, apiVersion: undefined }));
    return {
      type: "value",
      status: 200,
      value: { kind: "ComponentStatusList", apiVersion: "v1", metadata: {}, items },
    };
  }
  if (!components.includes(target.name)) throw plainError(`Component not found: ${target.name}`);
  return { type: "value", status: 200, value: status(target.name) };
}
