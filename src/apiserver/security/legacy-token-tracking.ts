/** Since when the use of tokens in Secrets is noted: tools that look for unused ones (upstream's cleaner) read it in kube-system. */
import type { ConfigMap } from "#api";
import type { Wanted } from "../bootstrap.ts";

const namespace = "kube-system";
const name = "kube-apiserver-legacy-service-account-token-tracking";

export function legacyTokenTracking(now: number): Wanted {
  const data = { since: new Date(now).toISOString().slice(0, "2006-01-02".length) };
  return {
    path: ["", "v1", "configmaps", namespace],
    object: { metadata: { name, namespace }, data },
    reconcile(found) {
      const { data: existing = {}, ...rest } = found as ConfigMap; // read from where it is written; only read
      return isDate(existing.since ?? "")
        ? { type: "keep" }
        : { type: "update", object: { ...rest, data: { ...existing, ...data } } };
    },
  };
}

const isDate = (text: string) => /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text));
