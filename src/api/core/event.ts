/**
 * Event: something happened to an object. Stored as in the core group; events.k8s.io has other names for the fields and is stricter.
 * Follows upstream's registry/core/event.
 */
import { nameIsPathSegment } from "#machinery";
import { defineKind } from "../kind.ts";
import type { Event } from "../types.d.ts";
import { eventColumns } from "./event/columns.ts";
import { fromStorage, toStorage } from "./event/convert.ts";
import { validateEvent, validateEventUpdate } from "./event/validate.ts";

const objectFields = ["kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"] as const;

export const eventKind = defineKind<Event>({
  group: "",
  kind: "Event",
  resource: "events",
  storageVersion: "v1",
  groupInErrors: "",
  convert: { toStorage, fromStorage },
  allowCreateOnUpdate: true,
  defaultPropagation: "Unsupported",
  // The stricter group checks more.
  validateName: (name, prefix) => [...nameIsPathSegment(name, prefix)],

  validate: validateEvent,
  validateUpdate: validateEventUpdate,

  selectableFieldNames: [
    ...objectFields.map((field) => `involvedObject.${field}`),
    "reason",
    "reportingComponent",
    "source",
    "type",
  ],
  selectableField(field, apiVersion) {
    if (apiVersion === "v1") return field;
    if (/^(involvedObject\..*|reportingComponent|source)$/.test(field)) return undefined;
    if (field === "reportingController") return "reportingComponent";
    return field.replace(/^regarding\./, "involvedObject.");
  },
  selectableFields({ involvedObject, source, reportingComponent = "", reason = "", type = "" }) {
    const fields: Record<string, string> = {
      reason,
      reportingComponent,
      source: source?.component || reportingComponent,
      type,
    };
    for (const field of objectFields) fields[`involvedObject.${field}`] = involvedObject[field] ?? "";
    return fields;
  },
  unknownField: (field) => `field label not supported: ${field}`,
  columns: eventColumns,
});
