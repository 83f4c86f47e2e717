/** Configuration of kubelets from config maps: a feature that is gone, whose fields older objects may still have. */
import { isConfigMapKey, nameIsDnsLabel, nameIsDnsSubdomain } from "#machinery";
import type { Place } from "../../place.ts";
import type { ConfigMapNodeConfigSource, NodeConfigSource, NodeConfigStatus } from "../../types.d.ts";

export function validateConfigSource({ configMap }: NodeConfigSource, at: Place, where: "spec" | "status"): void {
  if (!configMap) {
    at.invalid({}, "exactly one reference subfield must be non-nil");
    return;
  }
  const place = at.child("configMap");
  for (const field of ["uid", "resourceVersion"] as const) {
    if (where === "status") {
      if (!configMap[field]) place.child(field).required();
    } else if (configMap[field]) place.child(field).forbidden(`${field} must not be set in spec`);
  }
  validateMap(configMap, place);
}

function validateMap({ namespace, name, kubeletConfigKey }: ConfigMapNodeConfigSource, at: Place): void {
  const check = (field: string, value: string, messagesOf: (value: string) => readonly string[]) => {
    if (value) at.child(field).invalidEach(value, messagesOf(value));
    else at.child(field).required();
  };
  check("namespace", namespace, (value) => nameIsDnsLabel(value, false));
  check("name", name, (value) => nameIsDnsSubdomain(value, false));
  check("kubeletConfigKey", kubeletConfigKey, isConfigMapKey);
}

export function validateConfigStatus(status: NodeConfigStatus, at: Place): void {
  for (const field of ["assigned", "active", "lastKnownGood"] as const) {
    const source = status[field];
    if (source) validateConfigSource(source, at.child(field), "status");
  }
}
