import assert from "node:assert/strict";
import { test } from "node:test";
import { tryCreate, tryUpdate } from "../trial.ts";
import { serviceAccountKind } from "./service-account.ts";

test("of secrets only the names are kept", () => {
  const { object } = tryCreate(serviceAccountKind, { secrets: [{ name: "a", namespace: "other", kind: "Secret" }] });
  assert.deepEqual(object.secrets, [{ name: "a" }]);
});

test("an annotation that is deprecated is warned about once", () => {
  const annotations = { "kubernetes.io/enforce-mountable-secrets": "true" };
  const { object, warnings } = tryCreate(serviceAccountKind, { metadata: { name: "a", annotations } });
  assert.deepEqual(warnings, [
    "metadata.annotations[kubernetes.io/enforce-mountable-secrets]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets",
  ]);
  assert.deepEqual(
    tryUpdate(serviceAccountKind, object, { change: ({ metadata }) => Object.assign(metadata, { labels: { a: "b" } }) })
      .warnings,
    [],
  );
});
