/** ComponentStatus: how the parts of the control plane are, asked at that moment. Never stored; old dashboards look at it. */
import { statusError } from "#machinery";
import type { Store } from "#store";
import type { Answer } from "../answer.ts";
import { StoredObject } from "../cache/stored-object.ts";
import type { Call } from "./call.ts";
import { type ProbeResult, probeHealth } from "./component-probe.ts";
import type { RegistryCore } from "./core.ts";
import { storedOf } from "./create.ts";
import { readListOptions } from "./options.ts";
import type { CallHandler } from "./registry.ts";
import { readSelection } from "./selectors.ts";

type Checks = ReadonlyMap<string, () => Promise<ProbeResult>>;

/** Where upstream's parts listen; whoever moves them isn't found, as there. */
const standardPorts = { manager: 10257, scheduler: 10259 };

export function componentStatuses(store: Store, ports: typeof standardPorts = standardPorts): CallHandler {
  const checks: Checks = new Map([
    ["controller-manager", () => probeHealth(ports.manager)],
    ["etcd-0", () => probeStore(store)],
    ["scheduler", () => probeHealth(ports.scheduler)],
  ]);
  return (call, core) => answer(checks, call, core);
}

async function answer(checks: Checks, call: Call, { storage }: RegistryCore): Promise<Answer> {
  const { resource, target, verb, query } = call;
  const kind = storedOf(call);
  const { pool } = storage.caches;
  const statusOf = (name: string, { healthy, message }: ProbeResult) => {
    const conditions = [{ type: "Healthy", status: healthy ? "True" : "False", message }];
    const body = Buffer.from(JSON.stringify({ metadata: { name }, conditions }).slice(1));
    return new StoredObject({ kind, key: name, revision: 0, body, pool });
  };
  if (verb === "list") {
    const { selection } = readSelection(kind, call, readListOptions(query, { watch: false }));
    const all = [...checks].map(async ([name, check]) => statusOf(name, await check()));
    const objects = (await Promise.all(all)).filter((object) => selection.matches(object));
    return { type: "list", resource, objects, metadata: {} };
  }
  const check = checks.get(target.name);
  if (!check) throw statusError.notFound({ group: "", resource: "componentstatus" }, target.name);
  return { type: "object", status: 200, resource, object: statusOf(target.name, await check()) };
}

async function probeStore(store: Store): Promise<ProbeResult> {
  try {
    await store.size();
    return { healthy: true, message: "ok" };
  } catch (error) {
    return { healthy: false, message: (error as Error).message };
  }
}
