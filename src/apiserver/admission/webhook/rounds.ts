/**
 * Who is asked a second time. When a webhook changed the object, everything that changes objects runs once more, and of the webhooks those
 * that want it (`reinvocationPolicy: IfNeeded`) and were asked before the change. Upstream's reinvocation context.
 */
import { cloneJson, jsonEqual, type KubernetesObject } from "#machinery";
import type { Round } from "../chain.ts";

export interface Rounds {
  /** The second round begins; others may have changed the object since. */
  begin(object: KubernetesObject | undefined): void;
  wants(id: string): boolean;
  /** Was asked, and may be again. */
  asked(id: string): void;
  /** The object has changed: who was asked before that is asked again. */
  changed(): void;
  end(object: KubernetesObject | undefined): void;
}

/** `key`: whose they are, webhooks' or policies'. */
export function roundsOf(round: Round, key: string): Rounds {
  const known = round.notes.get(key) as Rounds | undefined; // put there below
  if (known) return known;
  const made = createRounds();
  round.notes.set(key, made);
  return made;
}

function createRounds(): Rounds {
  let before = new Set<string>();
  const again = new Set<string>();
  let last: unknown;
  const rounds: Rounds = {
    begin(object) {
      if (!jsonEqual(last, object)) rounds.changed();
    },
    wants: (id) => again.has(id),
    asked: (id) => before.add(id),
    changed() {
      for (const id of before) again.add(id);
      before = new Set();
    },
    end(object) {
      // Only who wants to be asked again needs to know.
      last = before.size > 0 || again.size > 0 ? cloneJson(object) : undefined;
    },
  };
  return rounds;
}
