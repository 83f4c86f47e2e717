/** Which kind a key belongs to, told from the key alone. */
import { keyPrefix } from "../resource.ts";

/** `/registry/pods/ns/name` → `/registry/pods/`, `/registry/apps/deployments/ns/name` → `/registry/apps/deployments/`. */
export function prefixOf(key: string): string {
  if (!key.startsWith(keyPrefix)) return "";
  const first = key.indexOf("/", keyPrefix.length);
  if (!isGroup(key.slice(keyPrefix.length, first))) return key.slice(0, first + 1);
  return key.slice(0, key.indexOf("/", first + 1) + 1);
}

/** Groups have a dot, except for the oldest ones. */
const isGroup = (text: string): boolean => text.includes(".") || oldGroups.has(text);

const oldGroups = new Set(["apps", "autoscaling", "batch", "extensions", "policy"]);
