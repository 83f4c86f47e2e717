/**
 * What an answer comes down to without what differs from run to run (ids, times, revisions, addresses), as one short text:
 * status, reason and a hash. `test/compat-later.json` holds those of a real later release for the steps that docs/compat.md explains,
 * so that an explained step stays checked though its recording is of an older release. Upstream's words aren't stored.
 * Usage: compat-answer.ts RECORDING.jsonl writes the file anew from a recording of that release.
 */
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

export interface RecordedAnswer {
  readonly status: number;
  readonly type: string;
  readonly warning?: string | undefined;
  readonly body: unknown;
}

const root = path.resolve(import.meta.dirname, "..");
export const laterFile = path.join(root, "test/compat-later.json");

/** Fields of which only the type counts. */
const changing =
  /^(uid|resourceVersion|selfLink|creationTimestamp|deletionTimestamp|time|lastTransitionTime|lastProbeTime|lastUpdateTime|eventTime|continue|remainingItemCount|token|expirationTimestamp|clusterIP|clusterIPs|nodePort|healthCheckNodePort|caBundle|uniqueID|gitVersion|gitCommit|buildDate|goVersion|platform|compiler|gitTreeState|hash|serverAddress|secret)$/;
/** Lists whose order says nothing. */
const unordered = /^(resources|groups|conditions|causes|columnDefinitions|versions|managedFields)$/;

const soften = (text: string): string =>
  text
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "<uid>")
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, "<time>")
    .replace(/\b(kube-api-access|gen)-[a-z0-9]{5}\b/g, "$1-<random>")
    .replace(/resourceVersion=\\?"?\d+/g, "<revision>")
    .replace(/current: \d+/g, "<revision>")
    .replace(/\b\d{1,3}(\.\d{1,3}){3}\b/g, "<ip>")
    .replace(/^\d+s$/, "<age>");

/** Sorted and without what changes. */
function settle(value: unknown, field: string): unknown {
  if (changing.test(field)) return typeof value;
  if (typeof value === "string") return soften(value);
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) {
    const items = value.map((item) => settle(item, ""));
    return unordered.test(field) ? items.map((item) => JSON.stringify(item)).sort() : items;
  }
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, each]) => [soften(key), settle(each, key)]));
}

export function summary({ status, type, warning = "", body }: RecordedAnswer): string {
  const settled = JSON.stringify([type, soften(warning), settle(body, "")]);
  const reason = (body as { reason?: unknown } | null)?.reason; // of whatever the body is
  const words = typeof reason === "string" && status >= 400 ? ` ${reason}` : "";
  return `${status}${words} ${createHash("sha256").update(settled).digest("hex").slice(0, 10)}`;
}

/** "02-pods#012 name" is step 02#012. */
export const stepOf = (id: string): string => `${id.slice(0, 2)}${id.slice(id.indexOf("#"), id.indexOf("#") + 4)}`;

/** The steps that the first table of docs/compat.md says a later release answers differently. */
export function explainedSteps(): Set<string> {
  const [, text = ""] = readFileSync(path.join(root, "docs/compat.md"), "utf8").split(/^## .*$/m);
  const steps = new Set<string>();
  for (const line of text.split("\n")) {
    for (const part of (/^\|([^|]*#[^|]*)\|/.exec(line)?.[1] ?? "").split(";")) {
      const file = /\d\d(?=#)/.exec(part)?.[0];
      for (const [, first = "", last = first] of part.matchAll(/#(\d{3})(?:–#(\d{3}))?/g)) {
        for (let i = Number(first); i <= Number(last); i++) steps.add(`${file}#${String(i).padStart(3, "0")}`);
      }
    }
  }
  return steps;
}

export type Later = Readonly<Record<string, string>>;

if (process.argv[1] === import.meta.filename) {
  const explained = explainedSteps();
  const later: Record<string, string> = {};
  for (const line of readFileSync(process.argv[2] ?? "", "utf8")
    .trim()
    .split("\n")) {
    const answer = JSON.parse(line) as RecordedAnswer & { id: string }; // as the player records
    if (explained.has(stepOf(answer.id))) later[stepOf(answer.id)] = summary(answer);
  }
  writeFileSync(laterFile, `${JSON.stringify(later, null, 1)}\n`);
}
