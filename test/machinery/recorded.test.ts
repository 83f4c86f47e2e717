/**
 * Bodies and patches that a real kube-apiserver 1.24 answered: what it refused to decode must be refused with its words, what
 * it took must be taken, and its patched objects must be ours. Defaulting, strategies and admission aren't run, so results
 * are compared only where the patch alone decides, and steps that others decide are named.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { facts } from "#api";
import { decodeObject, type FieldValidation, isStatusError, type PatchMediaType, readPatch } from "#machinery";

const recording = join(import.meta.dirname, "../../../shared/compat/recorded-1.24.jsonl");

type Json = Record<string, unknown>;

interface Step {
  readonly id: string;
  readonly request: { readonly method: string; readonly path: string; readonly body?: unknown; readonly type?: string };
  readonly status: number;
  readonly warning?: string;
  readonly body: Json & { message?: string; kind?: string; metadata?: { name?: string } };
}

function steps(context: TestContext): Step[] {
  if (!existsSync(recording)) {
    context.skip("../shared/compat is not here");
    return [];
  }
  return readFileSync(recording, "utf8")
    .trim()
    .split("\n")
    .map((line): Step => JSON.parse(line));
}

/** Refusals by others than the decoder, and answers that a later release changed. */
const decodedByOthers: readonly [ids: RegExp, why: string][] = [
  [/^01-configmaps#0(11|33) |^06-storage-config#153 |^08-rbac-auth#1(09|13) /, "refused after decoding"],
  [
    /^02-pods#08[56] |^03-services#138 |^04-apps#009 |^07-crds#060 /,
    "1.24.0: unknown fields come with their path, the recording is from before",
  ],
];

const patchedByOthers: readonly [ids: RegExp, why: string][] = [
  [/^03-services#0(75|76|82|84|87) |^08-rbac-auth#182 |^02-pods#092 |^04-apps#095 /, "strategy, admission or defaults"],
  [/^04-apps#188 |^08-rbac-auth#0(48|61) /, "not authorized"],
  [/^06-storage-config#(077|130) |^07-crds#175 /, "the object before is not in the recording, or custom"],
  [/^10-apply-and-patch#100 /, "1.28: a directive for what isn't there is dropped"],
];

const named = (list: readonly [RegExp, string][], id: string) => list.some(([ids]) => ids.test(id));

const pathPattern =
  /^\/(?:api|apis\/([^/]+))\/(v[^/]+)\/(?:namespaces\/[^/]+\/)?([a-z]+)(?:\/[^/?]+)?(?:\/([^/?]+))?(?:\?(.*))?$/;

function target(path: string) {
  const [, group, version = "", plural = "", subresource, query = ""] = pathPattern.exec(path) ?? [];
  const groupVersion = group ? `${group}/${version}` : version;
  const validation = new URLSearchParams(query).get("fieldValidation");
  return { groupVersion, subresource, resource: facts.resource(groupVersion, plural), validation };
}

const textOf = (body: unknown) => Buffer.from(typeof body === "string" ? body : JSON.stringify(body));

test("recorded bodies: taken and refused as recorded", async (context) => {
  let compared = 0;
  for (const { id, request, status, body } of steps(context)) {
    const { method, path, type = "application/json" } = request;
    if (!["POST", "PUT"].includes(method) || request.body === undefined || named(decodedByOthers, id)) continue;
    if (type !== "application/json" && type !== "application/yaml") continue;
    const { groupVersion, resource, subresource, validation } = target(path);
    if (!resource || (subresource !== undefined && subresource !== "status")) continue;
    const message = await decodeObject(textOf(request.body), {
      mediaType: type,
      expected: { apiVersion: groupVersion, kind: resource.kind },
      schemaOf: facts.typeOf,
      fieldValidation: (validation ?? "Ignore") as FieldValidation, // the recording has no others
    }).then(
      () => undefined,
      (error: Error) => error.message,
    );
    assert.equal(message, status === 400 ? body.message : undefined, id);
    compared++;
  }
  if (existsSync(recording)) assert.ok(compared > 700, String(compared));
});

test("recorded patches: refused and applied as recorded", (context) => {
  const objects = new Map<string, Json & { kind?: string }>();
  let compared = 0;
  for (const step of steps(context)) {
    const { id, request, status, body } = step;
    const key = request.path.replace(/\?.*/, "").replace(/\/status$/, "");
    if (request.method === "PATCH" && /(json|merge)-patch/.test(request.type ?? "") && !named(patchedByOthers, id)) {
      if (comparePatch(step, objects.get(key))) compared++;
    }
    if (status >= 300 || !body.metadata || /dryRun/.test(request.path) || /\/[a-z]+s\/[^/]+\/(token|scale)/.test(key))
      continue;
    objects.set(request.method === "POST" ? `${key}/${body.metadata.name}` : key, body);
  }
  if (existsSync(recording)) assert.ok(compared > 200, String(compared));
});

/** Whether the step could be compared. */
function comparePatch({ id, request, status, body }: Step, original: (Json & { kind?: string }) | undefined): boolean {
  if (!original || request.path.includes("/scale")) return false;
  const { groupVersion, subresource, validation } = target(request.path);
  const type = facts.typeOf(groupVersion, original.kind ?? "");
  let patched: Json;
  try {
    const patch = readPatch(textOf(request.body), {
      mediaType: request.type as PatchMediaType, // matched above
      fieldValidation: (validation ?? "Warn") as FieldValidation,
    });
    patched = patch.apply(original, type).object;
  } catch (error) {
    assert.ok(isStatusError(error), `${id}: ${error}`);
    // What a bad value looks like in Go is not compared.
    const soften = (text: string | undefined) => text?.replace(/Invalid value: "(\{|map\[).*": /s, "");
    assert.deepEqual([error.code, soften(error.message)], [status, soften(body.message)], id);
    return true;
  }
  if (status !== 200 || subresource) return false;
  for (const part of ["spec", "data", "template", "webhooks", "rules"])
    contained(patched[part], body[part], `${id}: ${part}`);
  return true;
}

/** Everything that we have is recorded; defaults may have been added. */
function contained(ours: unknown, recorded: unknown, at: string): void {
  if (ours === undefined || ours === null) return;
  if (Array.isArray(ours)) {
    // Empty ones go when the object is encoded, if the kind doesn't fill them.
    if (ours.length === 0) return;
    assert.ok(Array.isArray(recorded) && recorded.length === ours.length, `${at}: ${JSON.stringify([ours, recorded])}`);
    ours.forEach((item, i) => {
      contained(item, recorded[i], `${at}[${i}]`);
    });
  } else if (typeof ours === "object") {
    const empty = Object.keys(ours).length === 0;
    assert.ok(
      empty || (typeof recorded === "object" && recorded !== null),
      `${at}: ${JSON.stringify([ours, recorded])}`,
    );
    for (const [key, value] of Object.entries(ours)) contained(value, (recorded as Json)[key], `${at}.${key}`);
  } else assert.deepEqual(ours, recorded, at);
}
