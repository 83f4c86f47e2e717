import assert from "node:assert/strict";
import { test } from "node:test";
import { tryColumns, tryCreate } from "../trial.ts";
import { mandatoryPriorityLevels } from "./mandatory.ts";
import { priorityLevelConfigurationKind as kind } from "./priority-level.ts";

const made = (spec: object, name = "a") => tryCreate(kind, { metadata: { name }, spec });
const queueing = (queuing: object = {}) => limited({ limitResponse: { type: "Queue", queuing } });
const limited = (more: object) => ({ type: "Limited", limited: more });
const rejecting = { limitResponse: { type: "Reject" } };

test("priority level: what a client leaves out", () => {
  const { object, errors } = made(queueing());
  assert.deepEqual(errors, []);
  const queuing = { queues: 64, handSize: 8, queueLengthLimit: 50 };
  assert.deepEqual(object.spec?.limited, {
    nominalConcurrencyShares: 30,
    lendablePercent: 0,
    limitResponse: { type: "Queue", queuing },
  });
  const { Age: _, ...cells } = tryColumns(kind, object);
  assert.deepEqual(cells, {
    Type: "Limited",
    NominalConcurrencyShares: 30,
    Queues: 64,
    HandSize: 8,
    QueueLengthLimit: 50,
  });
  const zero = made(limited({ ...rejecting, nominalConcurrencyShares: 0 }));
  assert.deepEqual([zero.errors, zero.object.spec?.limited?.nominalConcurrencyShares], [[], 0]);
  assert.equal(tryColumns(kind, zero.object).Queues, "<none>");
});

test("priority level: what is refused", () => {
  const exempt = "type must be 'Exempt' if and only if name is 'exempt'";
  const at = "spec.limited";
  const queues = `${at}.limitResponse.queuing`;
  const cases: [object, string[]][] = [
    [{ type: "Odd" }, ['spec.type: Unsupported value: "Odd": supported values: "Exempt", "Limited"']],
    [{ type: "Exempt" }, [`spec.type: Invalid value: "Exempt": ${exempt}`]],
    [{ type: "Limited" }, ["spec.limited: Required value: must not be empty when type is Limited"]],
    [{ ...limited(rejecting), exempt: {} }, ["spec.exempt: Forbidden: must be nil if the type is Limited"]],
    [
      limited({ ...rejecting, nominalConcurrencyShares: -1, lendablePercent: 101, borrowingLimitPercent: -1 }),
      [
        `${at}.nominalConcurrencyShares: Invalid value: -1: must be a non-negative integer`,
        `${at}.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive`,
        `${at}.borrowingLimitPercent: Invalid value: -1: if specified, must be a non-negative integer`,
      ],
    ],
    [limited({}), [`${at}.limitResponse.type: Unsupported value: "": supported values: "Queue", "Reject"`]],
    [
      limited({ limitResponse: { type: "Queue" } }),
      [`${queues}: Required value: must not be empty if limited.limitResponse.type is Limited`],
    ],
    [
      limited({ limitResponse: { type: "Reject", queuing: {} } }),
      [`${queues}: Forbidden: must be nil if limited.limitResponse.type is not Limited`],
    ],
    [
      queueing({ queues: -1, handSize: -1, queueLengthLimit: -1 }),
      ["queueLengthLimit", "queues", "handSize"].map(
        (field) => `${queues}.${field}: Invalid value: -1: must be positive`,
      ),
    ],
    [
      queueing({ queues: 10_000_001, handSize: 1 }),
      [`${queues}.queues: Invalid value: 10000001: must not be greater than 10000000`],
    ],
    [
      queueing({ queues: 4, handSize: 5 }),
      [`${queues}.handSize: Invalid value: 5: should not be greater than queues (4)`],
    ],
    [
      queueing({ queues: 512, handSize: 8 }),
      [
        `${queues}.handSize: Invalid value: 8: required entropy bits of deckSize 512 and handSize 8 should not be greater than 60`,
      ],
    ],
  ];
  for (const [spec, expected] of cases) assert.deepEqual(made(spec).errors, expected);
});

test("priority level: those that every server has stay as they are", () => {
  for (const [name, spec] of Object.entries(mandatoryPriorityLevels)) {
    assert.deepEqual(made(spec, name).errors, [], name);
  }
  const shares = made({ type: "Exempt", exempt: { nominalConcurrencyShares: 5, lendablePercent: 50 } }, "exempt");
  assert.deepEqual(shares.errors, [], "of the exempt one its shares may change");
  const printed =
    '{"Type":"Limited","Limited":{"NominalConcurrencyShares":9,"LimitResponse":{"Type":"Reject","Queuing":null},"LendablePercent":0,"BorrowingLimitPercent":null},"Exempt":null}';
  assert.deepEqual(made(limited({ ...rejecting, nominalConcurrencyShares: 9 }), "catch-all").errors, [
    `spec: Invalid value: ${printed}: spec of 'catch-all' must equal the fixed value`,
  ]);
});
