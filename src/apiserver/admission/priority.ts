/** A pod's priority is the number behind its PriorityClass; clients can't choose numbers. Upstream's Priority. */
import type { Pod, PriorityClass } from "#api";
import type { DeepReadonly } from "#machinery";
import type { AdmissionPlugin, AdmissionRequest, Lookup } from "./chain.ts";
import { isResource, refuse } from "./refuse.ts";

type Class = DeepReadonly<PriorityClass>;

const systemPrefix = "system-";
const systemClasses = new Set(["system-node-critical", "system-cluster-critical"]);

export const priority: AdmissionPlugin = {
  name: "Priority",
  handles: (request) => isResource(request, "", "pods") || isResource(request, "scheduling.k8s.io", "priorityclasses"),
  async mutate(request, lookup) {
    if (!isResource(request, "", "pods")) return;
    if (request.operation === "CREATE") await resolve(request, lookup);
    else if (request.operation === "UPDATE") keep(request);
  },
  async validate(request, lookup) {
    if (!isResource(request, "scheduling.k8s.io", "priorityclasses")) return;
    if (request.operation === "DELETE") {
      if (!systemClasses.has(request.name)) return;
      throw refuse(request, "this is a system priority class and cannot be deleted");
    }
    const { globalDefault, metadata } = request.object as PriorityClass; // classes only
    if (!globalDefault) return;
    const present = await defaultClass(lookup);
    if (!present || (request.operation === "UPDATE" && present.metadata.name === metadata.name)) return;
    throw refuse(
      request,
      `PriorityClass ${present.metadata.name} is already marked as default. Only one default can exist`,
    );
  },
};

async function resolve(request: AdmissionRequest, lookup: Lookup): Promise<void> {
  const { spec } = request.object as Pod; // the caller checked
  if (!spec) return;
  const asked = spec.priorityClassName ?? "";
  const found = asked === "" ? await defaultClass(lookup) : await classNamed(request, asked, lookup);
  if (asked === "" && found) spec.priorityClassName = found.metadata.name ?? "";
  const value = found?.value ?? 0;
  if (spec.priority !== undefined && spec.priority !== value) {
    const why = `the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${value} from the given PriorityClass name`;
    throw refuse(request, why);
  }
  spec.priority = value;
  const policy = found ? found.preemptionPolicy : "PreemptLowerPriority";
  if (policy === undefined) return;
  if (spec.preemptionPolicy !== undefined && spec.preemptionPolicy !== policy) {
    const why = `the string value of PreemptionPolicy (${spec.preemptionPolicy}) must not be provided in pod spec; priority admission controller computed ${policy} from the given PriorityClass name`;
    throw refuse(request, why);
  }
  spec.preemptionPolicy = policy;
}

function keep({ object, old }: AdmissionRequest): void {
  const { spec } = object as Pod; // the caller checked
  const { spec: before } = old as DeepReadonly<Pod>; // an update has one
  if (!spec || !before) return;
  if (spec.priority === undefined && before.priority !== undefined) spec.priority = before.priority;
  if (spec.preemptionPolicy === undefined && before.preemptionPolicy !== undefined) {
    spec.preemptionPolicy = before.preemptionPolicy;
  }
}

async function classNamed(request: AdmissionRequest, name: string, lookup: Lookup): Promise<Class> {
  const found = await lookup.get<PriorityClass>(lookup.kind("scheduling.k8s.io", "priorityclasses"), "", name);
  if (!found) throw refuse(request, `no PriorityClass with name ${name} was found`);
  return found;
}

/** The lowest of those marked as default: there should be at most one. */
async function defaultClass(lookup: Lookup): Promise<Class | undefined> {
  const all = await lookup.list<PriorityClass>(lookup.kind("scheduling.k8s.io", "priorityclasses"), "");
  let lowest: Class | undefined;
  for (const each of all) {
    if (!each.globalDefault || each.metadata.name?.startsWith(systemPrefix)) continue;
    if (!lowest || (each.value ?? 0) < (lowest.value ?? 0)) lowest = each;
  }
  return lowest;
}
