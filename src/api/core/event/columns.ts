/** What `kubectl get events` shows. */
import { printAge } from "../../columns.ts";
import type { Column } from "../../kind.ts";
import type { Event } from "../../types.d.ts";

const printFirst = ({ firstTimestamp, eventTime }: Event, now: number): string =>
  printAge(firstTimestamp || eventTime, now);

function printLast(event: Event, now: number): string {
  if (event.series) return printAge(event.series.lastObservedTime, now);
  return event.lastTimestamp ? printAge(event.lastTimestamp, now) : printFirst(event, now);
}

/** A single event through the newer group has no count. */
const countOf = ({ series, count }: Event): number => (series ? (series.count ?? 0) : count || 1);

function printObject({ involvedObject: { kind = "", name } }: Event): string {
  const lower = kind.toLowerCase();
  return name ? `${lower}/${name}` : lower;
}

function printSource({ source, reportingComponent = "", reportingInstance = "" }: Event): string {
  const component = source?.component || reportingComponent;
  const instance = source?.host || reportingInstance;
  return instance === "" ? component : `${component}, ${instance}`;
}

const nameDescription =
  "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";

export const eventColumns: readonly Column<Event>[] = [
  {
    name: "Last Seen",
    type: "string",
    description: "The time at which the most recent occurrence of this event was recorded.",
    of: printLast,
  },
  {
    name: "Type",
    type: "string",
    description: "Type of this event (Normal, Warning), new types could be added in the future",
    of: ({ type }) => type ?? "",
  },
  {
    name: "Reason",
    type: "string",
    description:
      "This should be a short, machine understandable string that gives the reason for the transition into the object's current status.",
    of: ({ reason }) => reason ?? "",
  },
  { name: "Object", type: "string", description: "The object that this event is about.", of: printObject },
  {
    name: "Subobject",
    type: "string",
    description:
      'If referring to a piece of an object instead of an entire object, this string should contain a valid JSON/Go field access statement, such as desiredState.manifest.containers[2]. For example, if the object reference is to a container within a pod, this would take on a value like: "spec.containers{name}" (where "name" refers to the name of the container that triggered the event) or if no container name is specified "spec.containers[2]" (container with index 2 in this pod). This syntax is chosen only to have some well-defined way of referencing a part of an object.',
    priority: 1,
    of: ({ involvedObject }) => involvedObject.fieldPath ?? "",
  },
  {
    name: "Source",
    type: "string",
    description: "The component reporting this event. Should be a short machine understandable string.",
    priority: 1,
    of: printSource,
  },
  {
    name: "Message",
    type: "string",
    description: "A human-readable description of the status of this operation.",
    of: ({ message }) => (message ?? "").trim(),
  },
  {
    name: "First Seen",
    type: "string",
    description: "The time at which the event was first recorded. (Time of server receipt is in TypeMeta.)",
    priority: 1,
    of: printFirst,
  },
  {
    name: "Count",
    type: "string",
    description: "The number of times this event has occurred.",
    priority: 1,
    of: countOf,
  },
  {
    name: "Name",
    type: "string",
    format: "name",
    description: nameDescription,
    priority: 1,
    of: ({ metadata }) => metadata.name ?? "",
  },
];
