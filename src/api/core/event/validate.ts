/** What events must be: little through the core group, for those that have always been sent; more through events.k8s.io. */
import { type FieldError, isQualifiedName, nameIsDnsSubdomain } from "#machinery";
import { semanticEqual } from "../../equality.ts";
import type { WriteContext } from "../../kind.ts";
import { Place } from "../../place.ts";
import type { Event } from "../../types.d.ts";

const wordLengthMax = 128;
const messageLengthMax = 1024;

const isStrict = ({ resource }: WriteContext): boolean => resource.group === "events.k8s.io";

export function validateEvent(event: Event, context: WriteContext): FieldError[] {
  const errors = validateLegacy(event);
  if (isStrict(context)) validateStrictly(event, errors);
  return errors;
}

function validateLegacy(event: Event): FieldError[] {
  const { metadata, involvedObject } = event;
  const { namespace = "" } = metadata;
  const about = involvedObject.namespace ?? "";
  const namespaceAt = Place.root("involvedObject").child("namespace");
  const { errors } = namespaceAt;
  const wrongNamespace = () => namespaceAt.invalid(about, "does not match event.namespace");
  if (!event.eventTime) {
    // Clients of old put events of the cluster into the default namespace.
    if (about === "" ? namespace !== "" && namespace !== "default" : about !== namespace) wrongNamespace();
    return errors;
  }
  if (about === "" && namespace !== "default" && namespace !== "kube-system") wrongNamespace();
  const at = (field: string) => Place.root(field, errors);
  const { reportingComponent: controller = "" } = event;
  if (controller === "") at("reportingController").required();
  at("reportingController").invalidEach(controller, isQualifiedName(controller));
  for (const field of ["reportingInstance", "action", "reason"] as const) {
    if (!event[field]) at(field).required();
    validateLength(event[field], at(field), wordLengthMax);
  }
  validateLength(event.message, at("message"), messageLengthMax);
  return errors;
}

function validateLength(text: string | undefined, at: Place, lengthMax: number): void {
  if (Buffer.byteLength(text ?? "") > lengthMax) at.invalid("", `can have at most ${lengthMax} characters`);
}

function validateStrictly(event: Event, errors: FieldError[]): void {
  const at = (field: string) => Place.root(field, errors);
  const { metadata, type = "", source } = event;
  const { name = "" } = metadata;
  at("metadata").child("name").invalidEach(name, nameIsDnsSubdomain(name, false));
  validateSeries(event, errors);
  if (!event.eventTime) at("eventTime").required();
  if (type !== "Normal" && type !== "Warning") at("type").invalid("", `has invalid value: ${type}`);
  for (const field of ["firstTimestamp", "lastTimestamp", "count"] as const) {
    if (event[field]) at(field).invalid("", "needs to be unset");
  }
  if (source?.component || source?.host) at("source").invalid("", "needs to be unset");
}

function validateSeries({ series }: Event, errors: FieldError[]): void {
  if (!series) return;
  const at = Place.root("series", errors);
  if ((series.count ?? 0) < 2) at.child("count").invalid("", "should be at least 2");
  if (!series.lastObservedTime) at.child("lastObservedTime").required();
}

/** What happened stays; only how often may change. In upstream's order. */
const fixedFields: readonly (readonly [stored: keyof Event, field: string])[] = [
  ["involvedObject", "involvedObject"],
  ["reason", "reason"],
  ["message", "message"],
  ["source", "source"],
  ["firstTimestamp", "firstTimestamp"],
  ["lastTimestamp", "lastTimestamp"],
  ["count", "count"],
  ["reason", "reason"],
  ["type", "type"],
  ["eventTime", "eventTime"],
  ["action", "action"],
  ["related", "related"],
  ["reportingComponent", "reportingController"],
  ["reportingInstance", "reportingInstance"],
];

export function validateEventUpdate(event: Event, old: Event, context: WriteContext): FieldError[] {
  const errors = validateLegacy(event);
  if (!isStrict(context)) return errors;
  if (!semanticEqual(event.series, old.series)) validateSeries(event, errors);
  for (const [stored, field] of fixedFields) {
    if (semanticEqual(event[stored], old[stored])) continue;
    Place.root(field, errors).invalid(event[stored] ?? null, "field is immutable");
  }
  return errors;
}
