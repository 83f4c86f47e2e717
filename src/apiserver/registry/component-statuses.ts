/** ComponentStatus: the parts of the control plane, which here are one process. Never stored; old dashboards look at it. */
import { statusError } from "#machinery";
import type { Answer } from "../answer.ts";
import { StoredObject } from "../cache/stored-object.ts";
import type { Call } from "./call.ts";
import type { RegistryCore } from "./core.ts";
import { storedOf } from "./create.ts";
import { readListOptions } from "./options.ts";
import { readSelection } from "./selectors.ts";

const components = ["controller-manager", "etcd-0", "scheduler"];
const conditions = [{ type: "Healthy", status: "True", message: "ok" }];

export async function componentStatuses(call: Call, { storage }: RegistryCore): Promise<Answer> {
  const { resource, target, verb, query } = call;
  const kind = storedOf(call);
  const { pool } = storage.caches;
  const statusOf = (name: string) => {
    const body = Buffer.from(JSON.stringify({ metadata: { name }, conditions }).slice(1));
    return new StoredObject({ kind, key: name, revision: 0, body, pool });
  };
  if (verb === "list") {
    const { selection } = readSelection(kind, call, readListOptions(query, { watch: false }));
    const objects = components.map(statusOf).filter((object) => selection.matches(object));
    return { type: "list", resource, objects, metadata: {} };
  }
  if (!components.includes(target.name))
    throw statusError.notFound({ group: "", resource: "componentstatus" }, target.name);
  return { type: "object", status: 200, resource, object: statusOf(target.name) };
}
