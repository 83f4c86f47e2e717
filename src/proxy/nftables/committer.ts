/**
 * Brings changes of fragments into the kernel: the difference in one transaction, or, when the kernel refuses that, the whole table
 * anew (somebody may have changed ours), or, when it refuses that too, all changes but those it can't take, found by halving.
 */
import type { ApplyScript } from "#base";
import type { FamilyContext } from "../core/context.ts";
import type { Family } from "../core/endpoints.ts";
import type { Fragment } from "../core/fragment.ts";
import { createTable, type Owner, type Table, type TableChange } from "../core/table.ts";

export const families = ["IPv4", "IPv6"] as const satisfies readonly Family[];

export interface Change {
  readonly owner: Owner;
  readonly fragments: Readonly<Record<Family, Fragment>>;
}

export interface Refusal {
  readonly change: Change;
  readonly error: unknown;
}

export interface CommitResult {
  readonly kind: "full" | "partial" | "none";
  /** These are as they were before. */
  readonly refused: readonly Refusal[];
  /** Why the whole table was made anew. */
  readonly error?: unknown;
}

export type Contexts = Readonly<Record<Family, FamilyContext>>;

export interface Committer {
  /** Rejects when not even what was there can be made anew: nothing works, try later. */
  commit(changes: readonly Change[], contexts: Contexts): Promise<CommitResult>;
  /** The next commit makes the whole table anew. */
  forget(): void;
  /** To be tried without effect; a refusal means that somebody changed the table. */
  probe(contexts: Contexts): string;
  /** Deletes chains nobody used for a while. */
  clean(): Promise<void>;
  /** Whether `clean` has something to do. */
  readonly hasStale: boolean;
}

export function createCommitter(apply: ApplyScript): Committer {
  const tables: Readonly<Record<Family, Table>> = { IPv4: createTable("IPv4"), IPv6: createTable("IPv6") };
  const made = new Set<Family>();
  /** Some may have come back into use since, or even left it again. */
  const stale: Readonly<Record<Family, Set<string>>> = { IPv4: new Set(), IPv6: new Set() };

  const isUsed = (family: Family) => family === "IPv4" || made.has(family) || !tables[family].isEmpty;

  /** Into the tables' memory only. */
  const put = (changes: readonly Change[]) => {
    const results = families.map((family) => ({
      family,
      result: tables[family].change(changes.map(({ owner, fragments }) => ({ owner, fragment: fragments[family] }))),
    }));
    return {
      results,
      undo() {
        for (const { result } of results) result.undo();
      },
    };
  };

  async function applyWhole(contexts: Contexts): Promise<void> {
    const used = families.filter(isUsed);
    await apply(used.map((family) => tables[family].whole(contexts[family])).join(""));
    for (const family of used) made.add(family);
    for (const family of families) stale[family].clear();
  }

  async function applyDifference(changes: readonly Change[], contexts: Contexts): Promise<boolean> {
    const { results, undo } = put(changes);
    // A family's table is made when the first service needs it.
    const textOf = ({ family, result }: { family: Family; result: TableChange }) =>
      made.has(family) ? result.script : isUsed(family) ? tables[family].whole(contexts[family]) : "";
    const script = results.map(textOf).join("");
    if (script === "") return false;
    try {
      await apply(script);
    } catch (error) {
      undo();
      throw error;
    }
    for (const { family, result } of results) {
      if (isUsed(family)) made.add(family);
      for (const chain of result.stale) stale[family].add(chain);
    }
    return true;
  }

  async function applyHalves(changes: readonly Change[], contexts: Contexts): Promise<Refusal[]> {
    const [first] = changes;
    if (!first) return [];
    try {
      await applyDifference(changes, contexts);
      return [];
    } catch (error) {
      if (changes.length === 1) return [{ change: first, error }];
      const middle = changes.length >> 1;
      return [
        ...(await applyHalves(changes.slice(0, middle), contexts)),
        ...(await applyHalves(changes.slice(middle), contexts)),
      ];
    }
  }

  async function commitWhole(changes: readonly Change[], contexts: Contexts): Promise<CommitResult> {
    const { undo } = put(changes);
    try {
      await applyWhole(contexts);
      return { kind: "full", refused: [] };
    } catch (error) {
      undo();
      made.clear();
      await applyWhole(contexts);
      return { kind: "full", refused: await applyHalves(changes, contexts), error };
    }
  }

  return {
    async commit(changes, contexts) {
      if (!made.has("IPv4")) return commitWhole(changes, contexts);
      try {
        return { kind: (await applyDifference(changes, contexts)) ? "partial" : "none", refused: [] };
      } catch (error) {
        return { ...(await commitWhole(changes, contexts)), error };
      }
    },
    forget: () => made.clear(),
    probe: (contexts) => [...made].map((family) => tables[family].probe(contexts[family])).join(""),
    get hasStale() {
      return families.some((family) => stale[family].size > 0);
    },
    async clean() {
      const script = families
        .map((family) => (made.has(family) ? tables[family].clean([...stale[family]]) : ""))
        .join("");
      for (const family of families) stale[family].clear();
      if (script !== "") await apply(script);
    },
  };
}
