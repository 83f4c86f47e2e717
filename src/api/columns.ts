/** What columns of tables have in common: ages, and the words for what isn't there. */
import { humanDuration, type KubernetesObject } from "#machinery";
import type { Column, FieldText } from "./kind.ts";

/** How long ago an RFC 3339 time was. */
export const printAge = (time: string | undefined, now: number): string =>
  time ? humanDuration(now - Date.parse(time)) : "<unknown>";

export const creationText: FieldText = { field: "V1ObjectMeta.creationTimestamp", gaps: { "42": "\n\n" } };

export const ageColumn: Column<KubernetesObject> = {
  name: "Age",
  type: "string",
  description: creationText,
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
