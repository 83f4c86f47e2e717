/**
 * Replays what a real kube-apiserver answered: each write is done over the object as it was recorded before, and the
 * managed fields (or the refusal) are compared with the recorded ones. Defaulting, admission and strategies aren't run:
 * the recorded object stands for what they leave, so a few steps in which they act after ownership is decided are named.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { facts } from "#api";
import {
  applyObject,
  fieldSet,
  isStatusError,
  managedFieldsFromScale,
  managedFieldsToScale,
  type KubernetesObject,
  type ManagedFieldsEntry,
  type TypeSchema,
  updateManagedFields,
  type ValueSchema,
} from "#machinery";

const recording = join(import.meta.dirname, "../../../shared/compat/recorded-1.24.jsonl");
const time = "2026-11-23T04:28:59Z";

interface Step {
  readonly id: string;
  readonly request: { readonly method: string; readonly path: string; readonly body?: unknown; readonly type?: string };
  readonly status: number;
  readonly body: unknown;
}

const subresources = new Set([
  "status",
  "scale",
  "binding",
  "eviction",
  "ephemeralcontainers",
  "finalize",
  "approval",
  "token",
]);

/** Steps whose recorded answer is not ours to give, and why. */
const others: readonly [ids: RegExp, why: string][] = [
  [/^02-pods#111 |^03-services#093 /, "their status strategies let metadata through, others don't"],
  [/^03-services#0(73|75|77|82) /, "the strategy gives and takes ports and addresses after ownership is decided"],
  [/^03-services#1(29|30) /, "1.36: the port of a backend is atomic"],
  [/^07-crds#210 /, "a controller wrote in between"],
  [/^05-batch-autoscaling-policy#062 /, "entries are sorted by times, which the replay doesn't have"],
  [/^06-storage-config#1(79|94|96) /, "finalizers of namespaces belong to their own endpoint"],
  [/^10-apply-and-patch#018 /, "1.24 printed some paths of conflicts wrongly (it reused their memory)"],
  [/^10-apply-and-patch#0(49|50|52) /, "1.36 refuses another kind or version earlier and names it"],
];

function* steps(context: TestContext): Generator<Step> {
  if (!existsSync(recording)) {
    context.skip("../shared/compat is not here");
    return;
  }
  for (const line of readFileSync(recording, "utf8").split("\n")) if (line !== "") yield JSON.parse(line) as Step; // our own format
}

const isObject = (value: unknown): value is KubernetesObject & Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** 1.24 printed null for times that aren't set; later releases leave them out. */
function withoutNulls<T>(value: T): T {
  if (Array.isArray(value)) return value.map(withoutNulls) as T; // the same, without nulls
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== null)
      .map(([name, inner]) => [name, withoutNulls(inner)]),
  ) as T; // as above
}

/** Without times: when something was written is not replayed. */
function comparable(entries: readonly ManagedFieldsEntry[] | undefined): string {
  const key = ({ operation, manager, apiVersion, subresource }: ManagedFieldsEntry): string =>
    JSON.stringify([operation, manager, apiVersion, subresource]);
  // Custom objects are printed with sorted keys; inside a field set the order counts.
  return (entries ?? [])
    .map((entry) => `${key(entry)} ${entry.fieldsType} ${JSON.stringify(entry.fieldsV1)}`)
    .sort()
    .join("\n");
}

/** The part of a recorded custom kind that its applies touch. */
function widget(): TypeSchema {
  const text: ValueSchema = { kind: "string" };
  const type = (
    name: string,
    fields: Record<string, ValueSchema>,
    defaults: Record<string, unknown> = {},
  ): TypeSchema => ({
    name,
    atomic: name === "Whole",
    preserveUnknown: false,
    fields: new Map(
      Object.entries(fields).map(([field, value]) => [
        field,
        { name: field, value, required: false, number: 0, patchStrategy: [], atomic: false, default: defaults[field] },
      ]),
    ),
  });
  const port = type("Port", { port: { kind: "number" }, protocol: text, name: text }, { protocol: "TCP" });
  const spec = type("Spec", {
    size: text,
    count: { kind: "number" },
    uniq: { kind: "list", items: text, listType: "set", mapKeys: [] },
    ports: { kind: "list", items: { kind: "object", type: port }, listType: "map", mapKeys: ["port", "protocol"] },
    whole: { kind: "object", type: type("Whole", { a: text, b: text }) },
    nest: { kind: "object", type: type("Nest", { inner: text }) },
  });
  const metadata = facts.typeOf("v1", "ConfigMap")?.fields.get("metadata")?.value;
  assert(metadata);
  return type("Widget", { apiVersion: text, kind: text, metadata, spec: { kind: "object", type: spec } });
}

function schemaOf(object: unknown): { schema: TypeSchema; apiVersion: string; kind: string } | undefined {
  if (!isObject(object) || !object.apiVersion || !object.kind) return undefined;
  const { apiVersion, kind } = object;
  const schema = object.metadata?.name === "applied" && kind === "Widget" ? widget() : facts.typeOf(apiVersion, kind);
  return schema && { schema, apiVersion, kind };
}

function* writes(context: TestContext) {
  const live = new Map<string, KubernetesObject>();
  for (const step of steps(context)) {
    const { method, path: target, body: sent } = step.request;
    const [path = "", search] = target.split("?");
    const query = new URLSearchParams(search);
    const parts = path.split("/");
    const subresource = subresources.has(parts.at(-1) ?? "") ? (parts.pop() ?? "") : "";
    const key = parts.join("/");
    const answer = isObject(step.body) && step.body.kind !== "Status" ? withoutNulls(step.body) : undefined;
    const before = live.get(key);
    const good = step.status === 200 || step.status === 201;
    if (method === "DELETE" && good) live.delete(key);
    else if (good && answer?.metadata?.uid && !query.has("dryRun") && subresource !== "scale")
      live.set(method === "POST" && !subresource ? `${path}/${answer.metadata.name}` : key, answer);
    if (subresource === "scale" && good && answer && before && method !== "GET")
      scale(before, answer, query.get("fieldManager") ?? "unknown");
    if (
      others.some(([ids]) => ids.test(step.id)) ||
      subresource === "scale" ||
      (method !== "PATCH" && method !== "PUT")
    )
      continue;
    yield { step, sent, query, subresource, before, answer: good ? answer : undefined };
  }
}

/** Changes `parent` as a write of its scale does. */
function scale(parent: KubernetesObject & { spec?: unknown }, answer: KubernetesObject, manager: string): void {
  const { apiVersion = "", metadata = {} } = parent;
  const type = schemaOf(answer);
  const spec = isObject(parent.spec) ? parent.spec : {};
  assert(type);
  const paths = { [apiVersion]: ["spec", "replicas"] };
  const entries = updateManagedFields({
    ...type,
    live: {
      ...answer,
      spec: { replicas: spec.replicas },
      metadata: { ...answer.metadata, managedFields: managedFieldsToScale(metadata.managedFields, paths) ?? [] },
    } as KubernetesObject, // with a spec
    result: answer,
    manager,
    subresource: "scale",
    time,
  });
  const managedFields = managedFieldsFromScale({ parent: metadata.managedFields, scale: entries, apiVersion, paths });
  parent.metadata = { ...metadata, managedFields: managedFields ?? [] };
  parent.spec = { ...spec, replicas: (answer as { spec?: { replicas?: number } }).spec?.replicas }; // a Scale
}

const resetFields = (subresource: string) =>
  subresource === "" ? fieldSet(["status"]) : fieldSet(["spec"], ["metadata"]);

test("recorded updates: who owns what afterwards", (context) => {
  let count = 0;
  for (const { step, sent, query, subresource, before, answer } of writes(context)) {
    const type = schemaOf(answer);
    if (!type || !answer || !before || step.request.type?.startsWith("application/apply")) continue;
    const asked = isObject(sent) ? sent.metadata?.managedFields : undefined;
    const managedFields = asked ?? before.metadata?.managedFields;
    const result = { ...answer, metadata: { ...answer.metadata, ...(managedFields ? { managedFields } : {}) } };
    if (!managedFields) delete result.metadata.managedFields;
    const entries = updateManagedFields({
      ...type,
      live: before,
      result,
      manager: query.get("fieldManager") ?? "unknown",
      subresource,
      time,
      resetFields: resetFields(subresource),
    });
    assert.equal(comparable(entries), comparable(answer.metadata?.managedFields), step.id);
    count++;
  }
  context.diagnostic(`${count} updates`);
});

test("recorded applies: who owns what afterwards, and what is refused", (context) => {
  let count = 0;
  for (const { step, sent, query, subresource, before, answer } of writes(context)) {
    const type = schemaOf(answer ?? sent);
    if (!type || !isObject(sent) || !step.request.type?.startsWith("application/apply")) continue;
    try {
      const { object } = applyObject({
        ...type,
        live: before,
        applied: sent,
        manager: query.get("fieldManager") ?? "",
        subresource,
        force: query.get("force") === "true",
        time,
        resetFields: resetFields(subresource),
      });
      if (!answer) {
        // Other parts of the server refuse for their own reasons.
        assert.doesNotMatch((step.body as { message: string }).message, ourRefusals, step.id); // a Status
        continue;
      }
      assert.equal(comparable(object.metadata?.managedFields), comparable(answer.metadata?.managedFields), step.id);
    } catch (error) {
      if (!isStatusError(error)) throw error;
      assert.deepEqual(error.status, step.body, step.id);
    }
    count++;
  }
  context.diagnostic(`${count} applies`);
});

const ourRefusals = /^Apply failed with|^failed to create typed patch|^metadata.managedFields must be nil/;

test("recorded creates: what the writer owns, at least; what else, the server filled in", (context) => {
  let count = 0;
  for (const step of steps(context)) {
    const answer = step.status === 201 && step.request.method === "POST" && isObject(step.body) ? step.body : undefined;
    const [recorded, ...more] = answer?.metadata?.managedFields ?? [];
    const type = schemaOf(answer);
    if (!answer || !recorded || more.length > 0 || recorded.operation !== "Update" || !type) continue;
    if (createOthers.test(step.id)) continue;
    const { managedFields: _, ...metadata } = answer.metadata ?? {};
    const entries = updateManagedFields({
      ...type,
      live: undefined,
      result: withoutNulls({ ...answer, metadata }),
      manager: recorded.manager ?? "",
      time,
      resetFields: fieldSet(["status"]),
    });
    assert.equal(missing(recorded.fieldsV1, entries?.[0]?.fieldsV1), "", step.id);
    count++;
  }
  context.diagnostic(`${count} creates`);
});

/** 1.24 had a creation time of its own in templates and owned ports of backends field by field; one answer prints an empty list as null, one field is dropped. */
const createOthers =
  /^02-pods#012 |^03-services#1(27|28|31|40) |^04-apps#149 |^06-storage-config#0(51|52|66) |^08-rbac-auth#008 /;

/** The first step that `have` lacks. */
function missing(want: unknown, have: unknown, at = ""): string {
  if (!isObject(want)) return "";
  if (!isObject(have)) return at === "" ? "everything" : at;
  for (const [element, below] of Object.entries(want)) {
    const lacking = element in have || (element === "." && Object.keys(have).length === 0);
    const found = lacking ? missing(below, have[element] ?? {}, `${at} ${element}`) : `${at} ${element}`;
    if (found !== "") return found;
  }
  return "";
}
