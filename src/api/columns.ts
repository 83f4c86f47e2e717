/** What columns of tables have in common: ages, and the words for what isn't there. */
import { humanDuration, type KubernetesObject } from "#machinery";
import type { Column } from "./kind.ts";

/** How long ago an RFC 3339 time was. */
export const printAge = (time: string | undefined, now: number): string =>
  time ? humanDuration(now - Date.parse(time)) : "<unknown>";

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

/** `a=b,c=d` in the order of the keys. */
export const joinLabels = (labels: Readonly<Record<string, string>> = {}): string =>
  Object.keys(labels)
    .sort()
    .map((key) => `${key}=${labels[key]}`)
    .join(",");

export const printLabels = (labels: Readonly<Record<string, string>> | undefined): string => joinLabels(labels) || none;

/** Names and images of the containers of a template. */
export const containerNames = (containers: readonly { name: string }[] | undefined): string =>
  (containers ?? []).map(({ name }) => name).join(",");

export const containerImages = (containers: readonly { image?: string }[] | undefined): string =>
  (containers ?? []).map(({ image }) => image ?? "").join(",");
