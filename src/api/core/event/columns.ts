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

const nameDescription = { field: "V1ObjectMeta.name" };

export const eventColumns: readonly Column<Event>[] = [
  {
    name: "Last Seen",
    type: "string",
    description: { field: "CoreV1Event.lastTimestamp" },
    of: printLast,
  },
  {
    name: "Type",
    type: "string",
    description: { field: "CoreV1Event.type" },
    of: ({ type }) => type ?? "",
  },
  {
    name: "Reason",
    type: "string",
    description: { field: "CoreV1Event.reason" },
    of: ({ reason }) => reason ?? "",
  },
  { name: "Object", type: "string", description: "The object that this event is about.", of: printObject },
  {
    name: "Subobject",
    type: "string",
    description: { field: "V1ObjectReference.fieldPath" },
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
    description: { field: "V1Status.message" },
    of: ({ message }) => (message ?? "").trim(),
  },
  {
    name: "First Seen",
    type: "string",
    description: { field: "CoreV1Event.firstTimestamp" },
    priority: 1,
    of: printFirst,
  },
  {
    name: "Count",
    type: "string",
    description: { field: "CoreV1Event.count" },
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
