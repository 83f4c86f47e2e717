/**
 * What a family's table holds, in memory: fragments by owner. The table in the kernel is never read back: a change of fragments gives the
 * text of the transaction, and the whole can be written anew.
 *
 * Two services may want the same element (an external address and port; a hairpin of an endpoint they share). The owner that ranks first has it,
 * and who comes next takes it over when that one goes, so the result doesn't depend on the order of events. (Upstream lets the last one of
 * a random order win, anew at each sync.)
 */
import { baseScript, type BaseOptions, tableOf } from "./base.ts";
import { emptyFragment, type Fragment } from "./fragment.ts";
import type { Family } from "./endpoints.ts";

/** The owner of a fragment: lower rank first, then by name. */
export interface Owner {
  readonly name: string;
  readonly rank: string;
}

export interface OwnerChange {
  readonly owner: Owner;
  readonly fragment: Fragment;
}

interface Entry extends Owner {
  readonly fragment: Fragment;
}

/** What one transaction does to the table. */
export interface TableChange {
  /** "" when there is nothing to do. */
  readonly script: string;
  /** The table forgets it: to be called when the kernel refused it. */
  undo(): void;
  /** Chains that nobody goes to any more; they are empty and to be deleted some time later. */
  readonly stale: readonly string[];
}

export interface Table {
  change(changes: readonly OwnerChange[]): TableChange;
  /** Everything, in one transaction. */
  whole(base: BaseOptions): string;
  /** Deletes chains unless somebody uses them again. */
  clean(chains: readonly string[]): string;
  /** To be tried without effect (`nft -c`): refused when somebody took the table, rules of it, or all elements of a map. */
  probe(base: BaseOptions): string;
  readonly isEmpty: boolean;
}

/** An element's owners: nearly always one, then it is that one itself. */
type Claim = Entry | readonly Entry[];

export function createTable(family: Family): Table {
  const table = tableOf(family);
  const entries = new Map<string, Entry>();
  const claims = new Map<string, Claim>();
  /** Of shapes that are in the kernel. */
  const shapes = new Set<string>();

  const elementOf = (claim: Claim | undefined, id: string) =>
    claim && (("fragment" in claim ? claim : claim[0]) as Entry).fragment.elements.get(id); // a list is never empty

  function replace(id: string, before: Entry | undefined, after: Entry | undefined): void {
    const claim = claims.get(id);
    const others =
      claim === undefined
        ? []
        : "fragment" in claim
          ? claim === before
            ? []
            : [claim]
          : claim.filter((each) => each !== before);
    const all = after ? [...others, after] : others;
    if (all.length > 1)
      claims.set(
        id,
        all.sort((a, b) => (a.rank !== b.rank ? (a.rank < b.rank ? -1 : 1) : a.name < b.name ? -1 : 1)),
      );
    else if (all[0]) claims.set(id, all[0]);
    else claims.delete(id);
  }

  /** Answers the value each touched element had before. */
  function put(changes: readonly OwnerChange[]): Map<string, string | undefined> {
    const touched = new Map<string, string | undefined>();
    for (const { owner, fragment } of changes) {
      const before = entries.get(owner.name);
      const after = fragment === emptyFragment ? undefined : { ...owner, fragment };
      for (const id of before?.fragment.elements.keys() ?? []) {
        if (!touched.has(id)) touched.set(id, elementOf(claims.get(id), id));
        if (!fragment.elements.has(id)) replace(id, before, undefined);
      }
      for (const id of fragment.elements.keys()) {
        if (!touched.has(id)) touched.set(id, elementOf(claims.get(id), id));
        replace(id, before, after);
      }
      if (after) entries.set(owner.name, after);
      else entries.delete(owner.name);
    }
    return touched;
  }

  const addChain = (name: string) => `add chain ${table} ${name}`;
  const addRules = (name: string, rules: readonly string[]) => rules.map((rule) => `add rule ${table} ${name} ${rule}`);

  return {
    get isEmpty() {
      return entries.size === 0;
    },
    change(changes) {
      const old = changes.map(({ owner }) => entries.get(owner.name) ?? { ...owner, fragment: emptyFragment });
      const made: string[] = [];
      const filled: string[] = [];
      const removed: string[] = [];
      const stale: string[] = [];
      const newShapes: string[] = [];
      for (const [at, { fragment: after }] of changes.entries()) {
        const before = old[at]?.fragment ?? emptyFragment;
        for (const { name, rules } of after.shapes.values()) {
          if (shapes.has(name)) continue;
          shapes.add(name);
          newShapes.push(name);
          made.push(addChain(name));
          filled.push(...addRules(name, rules));
        }
        for (const [name, definition] of after.sets)
          if (!before.sets.has(name)) made.push(`add set ${table} ${name} ${definition}`);
        for (const [name, rules] of after.chains) {
          if (isSameList(before.chains.get(name), rules)) continue;
          // One that was left to be deleted later may be there still.
          made.push(addChain(name), `flush chain ${table} ${name}`);
          filled.push(...addRules(name, rules));
        }
        for (const name of before.chains.keys()) {
          if (after.chains.has(name)) continue;
          removed.push(`flush chain ${table} ${name}`);
          stale.push(name);
        }
        for (const name of before.sets.keys()) if (!after.sets.has(name)) removed.push(`delete set ${table} ${name}`);
      }
      const unmapped = createElements("delete", table);
      const mapped = createElements("add", table);
      for (const [id, was] of put(changes)) {
        const is = elementOf(claims.get(id), id);
        if (was === is) continue;
        if (was !== undefined) unmapped.push(id, was);
        if (is !== undefined) mapped.push(id, is);
      }
      // First what is new, then maps are pointed at it, then what nobody points at any more goes.
      const lines = [...made, ...filled, ...unmapped.lines(), ...mapped.lines(), ...removed];
      return {
        script: lines.length === 0 ? "" : `${lines.join("\n")}\n`,
        stale,
        undo() {
          put(old.map(({ name, rank, fragment }) => ({ owner: { name, rank }, fragment })));
          for (const name of newShapes) shapes.delete(name);
        },
      };
    },
    whole(base) {
      shapes.clear();
      const made: string[] = [];
      const filled: string[] = [];
      const mapped = createElements("add", table);
      for (const { fragment } of entries.values()) {
        for (const { name, rules } of fragment.shapes.values()) {
          if (shapes.has(name)) continue;
          shapes.add(name);
          made.push(addChain(name));
          filled.push(...addRules(name, rules));
        }
        for (const [name, definition] of fragment.sets) made.push(`add set ${table} ${name} ${definition}`);
        for (const [name, rules] of fragment.chains) {
          made.push(addChain(name));
          filled.push(...addRules(name, rules));
        }
      }
      for (const [id, claim] of claims) mapped.push(id, elementOf(claim, id) ?? "");
      return `${baseScript(base)}${[...made, ...filled, ...mapped.lines()].join("\n")}\n`;
    },
    probe(base) {
      const elements = new Map<string, string>();
      let looked = 0;
      for (const { fragment } of entries.values()) {
        for (const id of fragment.elements.keys()) elements.set(id.slice(0, id.indexOf(" ")), id);
        if (++looked >= fragmentsProbedMax) break;
      }
      const sample = createElements("delete", table);
      for (const id of elements.values()) sample.push(id, elementOf(claims.get(id), id) ?? "");
      const rules = new Map<string, number>();
      for (const [, name = ""] of baseScript(base).matchAll(/^add rule \S+ \S+ (\S+)/gm))
        rules.set(name, (rules.get(name) ?? 0) + 1);
      const chains = [...rules].map(([name, count]) => `add rule ${table} ${name} index ${count - 1} accept`);
      return `${[...chains, ...sample.lines()].join("\n")}\n`;
    },
    clean(chains) {
      const used = new Set([...entries.values()].flatMap(({ fragment }) => [...fragment.chains.keys()]));
      const gone = chains.filter((name) => !used.has(name));
      return gone.map((name) => `delete chain ${table} ${name}\n`).join("");
    },
  };
}

/** One element of each map is enough; most maps are met in the first few services. */
const fragmentsProbedMax = 100;

/** One command takes many elements of a map: less text to write and to read. */
const elementsPerLineMax = 200;

function createElements(verb: "add" | "delete", table: string) {
  const byMap = new Map<string, string[]>();
  return {
    push(id: string, value: string) {
      const space = id.indexOf(" ");
      const map = id.slice(0, space);
      const elements = byMap.get(map) ?? [];
      if (elements.length === 0) byMap.set(map, elements);
      elements.push(value === "" ? id.slice(space + 1) : `${id.slice(space + 1)} : ${value}`);
    },
    *lines() {
      for (const [map, elements] of byMap)
        for (let at = 0; at < elements.length; at += elementsPerLineMax)
          yield `${verb} element ${table} ${map} { ${elements.slice(at, at + elementsPerLineMax).join(", ")} }`;
    },
  };
}

const isSameList = (a: readonly string[] | undefined, b: readonly string[]) =>
  a !== undefined && a.length === b.length && a.every((each, at) => each === b[at]);
