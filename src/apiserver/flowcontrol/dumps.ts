/** What flow control holds, as tables for people: /debug/api_priority_and_fairness/…, in upstream's format. */
import { printDuration } from "#base";
import type { Answer } from "../answer.ts";
import { type PathHandler, textAnswer } from "../paths.ts";
import type { FlowControl } from "./flow-control.ts";
import type { FlowRequest } from "./flow-request.ts";
import type { Level } from "./levels.ts";

export function dumpHandler(control: FlowControl): PathHandler {
  const dumps: Readonly<Record<string, (levels: readonly Level[], details: boolean) => string[][]>> = {
    dump_priority_levels: (levels) => [levelHeads, ...levels.map(levelRow)],
    dump_queues: (levels) => [queueHeads, ...levels.flatMap(queueRows)],
    dump_requests: (levels, details) => [
      details ? [...requestHeads, ...detailHeads] : requestHeads,
      ...levels.flatMap((level) => requestRows(level, { details, wallMs: wallClock(control) })),
    ],
  };
  return ({ parts, query }): Answer | undefined => {
    const [, , name = "", ...more] = parts;
    if (more.length > 0 || !Object.hasOwn(dumps, name)) return undefined;
    const levels = [...control.levels.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    const rows = dumps[name]?.(levels, query.get("includeRequestDetails") !== "") ?? [];
    return textAnswer(200, printTable(rows));
  };
}

const columnWidthMin = 8;

/** Columns as Go's tabwriter sets them: as wide as the widest cell and one, the last one as it is. */
function printTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows)
    row.slice(0, -1).forEach((cell, at) => {
      widths[at] = Math.max(widths[at] ?? columnWidthMin, cell.length + 2);
    });
  const line = (row: readonly string[]) =>
    row.map((cell, at) => (at === row.length - 1 ? cell : `${cell},`.padEnd(widths[at] ?? 0))).join("");
  return rows.map((row) => `${line(row)}\n`).join("");
}

const levelHeads = [
  "PriorityLevelName",
  "ActiveQueues",
  "IsIdle",
  "IsQuiescing",
  "WaitingRequests",
  "ExecutingRequests",
  "DispatchedRequests",
  "RejectedRequests",
  "TimedoutRequests",
  "CancelledRequests",
];

function levelRow({ name, queues, quiescing }: Level): string[] {
  const active = queues.queues.filter(({ waiting }) => waiting.length > 0).length;
  const { idle, waiting, executing, dispatched, rejected, cancelled } = queues;
  // Those that waited too long are counted as cancelled, by upstream too.
  return [name, active, idle, quiescing, waiting, executing.length, dispatched, rejected, 0, cancelled].map(String);
}

const queueHeads = [
  "PriorityLevelName",
  "Index",
  "PendingRequests",
  "ExecutingRequests",
  "SeatsInUse",
  "NextDispatchR",
  "InitialSeatsSum",
  "MaxSeatsSum",
  "TotalWorkSum",
];

const queueRows = ({ name, queues }: Level): string[][] =>
  queues.queues.map(({ waiting, executing, seatsInUse, nextR, initialSeats, waitingSeats, work }, index) =>
    [
      name,
      index,
      waiting.length,
      executing,
      seatsInUse,
      seatSeconds(nextR),
      initialSeats,
      waitingSeats,
      seatSeconds(work),
    ].map(String),
  );

const seatSeconds = (value: number): string => `${value.toFixed(8)}ss`;

const requestHeads = [
  "PriorityLevelName",
  "FlowSchemaName",
  "QueueIndex",
  "RequestIndexInQueue",
  "FlowDistingsher",
  "ArriveTime",
  "InitialSeats",
  "FinalSeats",
  "AdditionalLatency",
  "StartTime",
];
const detailHeads = ["UserName", "Verb", "APIPath", "Namespace", "Name", "APIVersion", "Resource", "SubResource"];

interface RequestRowOptions {
  readonly details: boolean;
  /** Of a precise time. */
  readonly wallMs: (preciseMs: number) => number;
}

function requestRows({ name, queues: set }: Level, options: RequestRowOptions): string[][] {
  const row = (request: FlowRequest, at: number) => requestRow(request, { ...options, level: name, set, at });
  const waiting = set.queues.flatMap(({ waiting: list }) => [...list].map((each, at) => row(each as FlowRequest, at)));
  const executing = [...set.executing].map((each) => row(each as FlowRequest, -1));
  return [...waiting, ...executing]; // queues hold nothing else
}

interface RowContext extends RequestRowOptions {
  readonly level: string;
  readonly set: Level["queues"];
  readonly at: number;
}

function requestRow(request: FlowRequest, { details, wallMs, level, set, at }: RowContext): string[] {
  const { schema, queue, distinguisher, work, arrivedMs, startedMs, digest } = request;
  const cells = [
    level,
    schema.name,
    String(queue ? set.queues.indexOf(queue) : -1),
    String(at),
    distinguisher,
    goTime(wallMs(arrivedMs)),
    String(work.initialSeats),
    String(work.finalSeats),
    printDuration(work.extraMs),
    at >= 0 ? "0001-01-01T00:00:00Z" : goTime(wallMs(startedMs)),
  ];
  if (!details) return cells;
  const { user, verb, path, target } = digest;
  const none = { namespace: "", name: "", group: "", version: "", resource: "", subresource: "" };
  const { namespace, name, group, version, resource, subresource } = target.type === "resource" ? target : none;
  const groupVersion = group === "" ? version : `${group}/${version}`;
  return [...cells, user.name, verb, path, namespace, name, groupVersion, resource, subresource];
}

const wallClock = ({ clock, precise }: FlowControl): RequestRowOptions["wallMs"] => {
  const offset = clock.now() - precise();
  return (preciseMs) => preciseMs + offset;
};

/** With as many digits behind the second as there are. */
function goTime(ms: number): string {
  const whole = new Date(Math.floor(ms / 1000) * 1000).toISOString().slice(0, 19);
  const fraction = (ms / 1000 - Math.floor(ms / 1000)).toFixed(6).slice(2).replace(/0+$/, "");
  return `${whole}${fraction && `.${fraction}`}Z`;
}
