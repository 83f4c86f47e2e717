/** What is next for the migrations of one resource. Follows upstream's pkg/controller/storageversionmigrator. */
import type { Condition, CustomResourceDefinition, StorageVersionMigration } from "#api";
import { compareResourceVersions, type GroupResource, StatusError, whyNoResourceVersion } from "#machinery";
import { byCreation, draft, nameOf, type Seen, type SeenObject } from "../lib/objects.ts";

type Migration = Seen<StorageVersionMigration>;
type ConditionType = "Running" | "Succeeded" | "Failed";

/** So long a resource that nobody serves may be one whose definition is about to be. */
export const patienceMs = 60_000;
export const verbsNeeded = ["update", "patch", "list"];
const separator = "/";

export const keyOfResource = ({ spec }: Migration): string =>
  `${spec?.resource.group ?? ""}${separator}${spec?.resource.resource ?? ""}`;

export function resourceOfKey(key: string): GroupResource {
  const [group = "", resource = ""] = key.split(separator);
  return { group, resource };
}

export const has = ({ status }: Migration, type: ConditionType): boolean =>
  status?.conditions?.find((condition) => condition.type === type)?.status === "True";

export interface MigrationPlan {
  /** Ended, and not said to. */
  readonly finish: readonly Migration[];
  /** Those that run; one, unless somebody else has written. */
  readonly running: readonly Migration[];
  /** The next one, when none runs: the oldest. */
  readonly promote: Migration | undefined;
}

export function planMigrations(all: readonly Migration[]): MigrationPlan {
  const isOver = (each: Migration) => has(each, "Succeeded") || has(each, "Failed");
  const running = all.filter((each) => has(each, "Running") && !isOver(each));
  const waiting = all.filter((each) => !has(each, "Running") && !isOver(each));
  return {
    finish: all.filter((each) => has(each, "Running") && isOver(each)),
    running,
    promote: running.length > 0 ? undefined : waiting.sort(byCreation)[0],
  };
}

/** What the whole migration is told, and when. */
const said = {
  Running: { reason: "MigrationRunning", message: "The migration is running" },
  Succeeded: { reason: "StorageVersionMigrationSucceeded", message: "" },
  Failed: { reason: "StorageVersionMigrationFailed" },
} as const;

/** With the condition added; one that is there already stays. */
export function withCondition(
  migration: Migration,
  { type, message = "", at }: { readonly type: ConditionType; readonly message?: string; readonly at: string },
): StorageVersionMigration {
  const next = draft<StorageVersionMigration>(migration);
  const conditions = next.status?.conditions ?? [];
  const known = conditions.find((condition) => condition.type === type);
  if (known?.status === "True" || known?.status === "False") return next;
  const condition = { type, status: "True", lastTransitionTime: at, message, ...said[type] };
  next.status = { ...next.status, conditions: [...conditions, condition] };
  return next;
}

/** The end of one that ran. */
export function finished(migration: Migration, at: string): StorageVersionMigration {
  const next = draft<StorageVersionMigration>(migration);
  const running = next.status?.conditions?.find(({ type }) => type === "Running");
  const over = { status: "False", reason: "MigrationCompleted", message: "Migration completed" };
  if (running) Object.assign(running, { ...over, lastTransitionTime: at });
  return next;
}

type Definition = Seen<CustomResourceDefinition>;

/**
 * What is applied to the status of a custom kind's definition. Its revision guards the generation that the condition names. The stored
 * versions are said each time: whoever has said them once and then doesn't, takes them away, and then only today's would be known.
 */
function applied(definition: Definition, condition: Omit<Condition, "type">, storedVersions: readonly string[] = []) {
  const { name, resourceVersion, generation: observedGeneration } = definition.metadata;
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name, resourceVersion },
    status: {
      conditions: [{ type: "StorageMigrating", ...condition, observedGeneration }],
      ...(storedVersions.length > 0 && { storedVersions }),
    },
  };
}

export function definitionStarted(definition: Definition, migration: Migration, at: string) {
  const message = `Migration ${nameOf(migration)} is running`;
  const condition = { status: "True", lastTransitionTime: at, reason: "MigrationRunning", message };
  return applied(definition, condition, definition.status?.storedVersions);
}

/** After a success nothing is left of other versions, if the definition is the one that the migration began with. */
export function definitionFinished(definition: Definition, migration: Migration, at: string) {
  const { conditions, storedVersions } = definition.status ?? {};
  const { generation } = definition.metadata;
  const began = conditions?.find(({ type }) => type === "StorageMigrating")?.observedGeneration;
  const isSame = began !== undefined && began === generation;
  const over = { status: "False", lastTransitionTime: at };
  if (!has(migration, "Succeeded"))
    return applied(
      definition,
      { ...over, reason: "MigrationFailed", message: "The migration has failed" },
      storedVersions,
    );
  const fate = isSame
    ? "and the stored versions have been updated"
    : "but the stored versions have not been updated due to a generation mismatch";
  const end = { ...over, reason: "MigrationSucceeded", message: `The migration has succeeded ${fate}` };
  const stored = definition.spec.versions.filter(({ storage }) => storage).map(({ name }) => name);
  return applied(definition, end, isSame ? stored : storedVersions);
}

/** Whether an object has to be written still: not if it was after the checkpoint, which also means by an earlier run. A text: why nobody knows. */
export function isBehind({ metadata }: SeenObject, checkpoint: string): boolean | string {
  const version = metadata?.resourceVersion ?? "";
  return whyNoResourceVersion(version) ?? compareResourceVersions(version, checkpoint) <= 0;
}

/**
 * What is applied to an object: nothing but who it is, so that it is written as it is. The uid keeps it from being made anew when it is
 * gone; the revision refuses it when it was changed, and so written, meanwhile.
 */
export const rewriting = ({ metadata }: SeenObject, { apiVersion, kind }: { apiVersion: string; kind: string }) => ({
  apiVersion,
  kind,
  metadata: { uid: metadata?.uid, resourceVersion: metadata?.resourceVersion },
});

const passing = new Set(["ServerTimeout", "TooManyRequests", "ServiceUnavailable", "InternalError", "Timeout"]);

/** Done: deleted, changed or made anew meanwhile. Again: of the connection, or a server that is busy. */
export function judgeRefusal(error: unknown): "done" | "again" | "failed" {
  if (!(error instanceof StatusError)) return "again";
  if (error.reason === "Conflict") return "done";
  return passing.has(error.reason) ? "again" : "failed";
}
