import assert from "node:assert/strict";
import { test } from "node:test";
import type { WriteContext } from "../kind.ts";
import { tryColumns, tryCreate } from "../trial.ts";
import type { Event } from "../types.d.ts";
import { fromStorage, toStorage } from "./event/convert.ts";
import { eventKind } from "./event.ts";

const metadata = { name: "e", namespace: "n" };
const legacy = { metadata, involvedObject: { kind: "Pod", namespace: "n", name: "p" }, reason: "Why", type: "Normal" };
const modern = {
  metadata,
  eventTime: "2026-01-02T03:04:05.123456Z",
  reportingController: "example.com/c",
  reportingInstance: "c-1",
  action: "Do",
  reason: "Why",
  type: "Warning",
  note: "n",
  regarding: { kind: "Pod", namespace: "n", name: "p" },
};
const strict: WriteContext = {
  user: { name: "", uid: "", groups: [], extra: {} },
  now: 0,
  resource: { group: "events.k8s.io", resource: "events", version: "v1" },
  subresource: "",
};
const strictErrors = (event: Event, old?: Event): string[] => {
  const errors = old ? eventKind.validateUpdate?.(event, old, strict) : eventKind.validate?.(event, strict);
  return (errors ?? []).map(({ field, message }) => `${field}: ${message.replace(/ must consist of .*$/, " …")}`);
};

test("the two groups' events are the same ones", () => {
  const stored = toStorage(structuredClone(modern));
  assert.deepEqual(stored, {
    kind: "Event",
    apiVersion: "v1",
    metadata,
    involvedObject: modern.regarding,
    reason: "Why",
    message: "n",
    source: {},
    firstTimestamp: null,
    lastTimestamp: null,
    type: "Warning",
    eventTime: modern.eventTime,
    action: "Do",
    reportingComponent: "example.com/c",
    reportingInstance: "c-1",
  });
  assert.deepEqual(fromStorage(stored), {
    kind: "Event",
    apiVersion: "events.k8s.io/v1",
    ...modern,
    deprecatedSource: {},
    deprecatedFirstTimestamp: null,
    deprecatedLastTimestamp: null,
  });
  const { object: old } = tryCreate(eventKind, { ...legacy, message: "m", source: { component: "me" }, count: 2 });
  const { note, deprecatedSource, deprecatedCount, eventTime } = fromStorage(old) as never as Record<string, unknown>;
  assert.deepEqual([note, deprecatedSource, deprecatedCount, eventTime], ["m", { component: "me" }, 2, null]);
});

test("the older group takes nearly everything", () => {
  const cases: [object, string[]][] = [
    [legacy, []],
    [{ metadata, involvedObject: { namespace: "n" } }, []],
    [
      { ...legacy, involvedObject: { kind: "Node", name: "n1" } },
      ['involvedObject.namespace: Invalid value: "": does not match event.namespace'],
    ],
    [{ ...legacy, metadata: { name: "e", namespace: "default" }, involvedObject: { kind: "Node", name: "n1" } }, []],
    [
      { ...legacy, involvedObject: { kind: "Pod", namespace: "other", name: "p" } },
      ['involvedObject.namespace: Invalid value: "other": does not match event.namespace'],
    ],
  ];
  for (const [event, errors] of cases) assert.deepEqual(tryCreate(eventKind, event).errors, errors);
});

test("the newer one doesn't", () => {
  const event = (fields: object) => toStorage({ ...structuredClone(modern), ...fields });
  assert.deepEqual(strictErrors(event({})), []);
  const bare = { metadata, eventTime: modern.eventTime, regarding: { namespace: "n" } };
  assert.deepEqual(strictErrors(toStorage(bare)), [
    "reportingController: Required value",
    'reportingController: Invalid value: "": name part must be non-empty',
    'reportingController: Invalid value: "": name part …',
    "reportingInstance: Required value",
    "action: Required value",
    "reason: Required value",
    'type: Invalid value: "": has invalid value: ',
  ]);
  const long = (length: number) => "x".repeat(length);
  assert.deepEqual(
    strictErrors(event({ reportingInstance: long(129), reason: long(129), note: long(1025), type: "Odd" })),
    [
      'reportingInstance: Invalid value: "": can have at most 128 characters',
      'reason: Invalid value: "": can have at most 128 characters',
      'message: Invalid value: "": can have at most 1024 characters',
      'type: Invalid value: "": has invalid value: Odd',
    ],
  );
  assert.deepEqual(strictErrors(event({ deprecatedCount: 1, series: { count: 1 } })), [
    'series.count: Invalid value: "": should be at least 2',
    "series.lastObservedTime: Required value",
    'count: Invalid value: "": needs to be unset',
  ]);
});

test("through the newer group only the series changes", () => {
  const old = toStorage(structuredClone(modern));
  const series = { count: 2, lastObservedTime: "2026-01-02T03:05:05.000001Z" };
  assert.deepEqual(strictErrors({ ...old, series }, old), []);
  assert.deepEqual(strictErrors({ ...old, message: "other", action: "Undo" }, old), [
    'message: Invalid value: "other": field is immutable',
    'action: Invalid value: "Undo": field is immutable',
  ]);
});

test("the table", () => {
  const cells = (event: object) => Object.values(tryColumns(eventKind, tryCreate(eventKind, event).object));
  assert.deepEqual(cells({ metadata, involvedObject: {} }), ["<unknown>", "", "", "", "", "", "", "<unknown>", 1, "e"]);
  assert.deepEqual(
    cells({
      ...legacy,
      message: " m\n",
      source: { component: "kubelet", host: "n1" },
      firstTimestamp: "2026-01-02T03:00:05Z",
      lastTimestamp: "2026-01-02T03:04:00Z",
      count: 3,
    }),
    ["5s", "Normal", "Why", "pod/p", "", "kubelet, n1", "m", "4m", 3, "e"],
  );
  const stored = {
    ...toStorage(structuredClone(modern)),
    series: { count: 7, lastObservedTime: "2026-01-02T03:04:04.500001Z" },
  };
  const row = tryColumns(eventKind, stored);
  assert.deepEqual([row["Last Seen"], row.Count, row.Source], ["0s", 7, "example.com/c, c-1"]);
});
