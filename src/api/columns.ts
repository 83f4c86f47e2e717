/** What columns of tables have in common: ages, and the words for what isn't there. */
import type { KubernetesObject } from "#machinery";
import type { Column } from "./kind.ts";

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;

/** Two or three significant figures: 45s, 7m12s, 3h5m, 12d, 2y100d. As apimachinery's HumanDuration. */
export function printDuration(durationMs: number): string {
  const seconds = Math.trunc(durationMs / second);
  // Clocks of two machines may differ by a little.
  if (seconds < -1) return "<invalid>";
  if (seconds < 0) return "0s";
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.trunc(durationMs / minute);
  if (minutes < 10) return withRest(minutes, "m", `${seconds % 60}s`);
  if (minutes < 180) return `${minutes}m`;
  const hours = Math.trunc(durationMs / hour);
  if (hours < 8) return withRest(hours, "h", `${minutes % 60}m`);
  if (hours < 48) return `${hours}h`;
  const days = Math.trunc(hours / 24);
  if (hours < 24 * 8) return withRest(days, "d", `${hours % 24}h`);
  if (days < 365 * 2) return `${days}d`;
  const years = Math.trunc(days / 365);
  return days < 365 * 8 ? withRest(years, "y", `${days % 365}d`) : `${years}y`;
}

const withRest = (count: number, unit: string, rest: string): string => `${count}${unit}${/^0/.test(rest) ? "" : rest}`;

/** How long ago an RFC 3339 time was. */
export const printAge = (time: string | undefined, now: number): string =>
  time ? printDuration(now - Date.parse(time)) : "<unknown>";

const ageDescription =
  "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

export const ageColumn: Column<KubernetesObject> = {
  name: "Age",
  type: "string",
  description: ageDescription,
  of: ({ metadata }, now) => printAge(metadata?.creationTimestamp, now),
};

export const none = "<none>";
export const unknown = "<unknown>";

/** `a=b,c=d` in the order of the keys, or <none>. */
export function printLabels(labels: Readonly<Record<string, string>> | undefined): string {
  const texts = Object.keys(labels ?? {})
    .sort()
    .map((key) => `${key}=${labels?.[key]}`);
  return texts.join(",") || none;
}

/** Names and images of the containers of a template. */
export const containerNames = (containers: readonly { name: string }[] | undefined): string =>
  (containers ?? []).map(({ name }) => name).join(",");

export const containerImages = (containers: readonly { image?: string }[] | undefined): string =>
  (containers ?? []).map(({ image }) => image ?? "").join(",");
