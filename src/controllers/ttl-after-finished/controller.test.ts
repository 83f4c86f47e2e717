import assert from "node:assert/strict";
import { test } from "node:test";
import type { Job } from "#api";
import { FakeTransport } from "#testing";
import { ago, runController, testNow } from "../lib/fixture.ts";
import { expiryMs, ttlAfterFinishedController } from "./controller.ts";

const jobs = "/apis/batch/v1/namespaces/default/jobs";
const job = (ttl: number | undefined, end: string | undefined, more: object = {}): Job => ({
  apiVersion: "batch/v1",
  kind: "Job",
  metadata: { name: "j", uid: "u", ...more },
  spec: { template: {}, ...(ttl === undefined ? {} : { ttlSecondsAfterFinished: ttl }) },
  status: { conditions: end ? [{ type: end, status: "True", lastTransitionTime: ago(10) }] : [] },
});

for (const [why, of, expected] of [
  ["succeeded", job(30, "Complete"), testNow + 20_000],
  ["failed", job(0, "Failed"), testNow - 10_000],
  ["without a time to live", job(undefined, "Complete"), undefined],
  ["not over", job(30, undefined), undefined],
  ["about to fail", job(30, "FailureTarget"), undefined],
  ["going already", job(30, "Complete", { deletionTimestamp: ago(1) }), undefined],
  [
    "nobody knows when",
    { ...job(30, undefined), status: { conditions: [{ type: "Failed", status: "True" }] } },
    undefined,
  ],
] satisfies [string, Job, number | undefined][])
  test(`time to live: ${why}`, () => assert.equal(expiryMs(of), expected));

test("time to live: what the server says counts, and then the Job goes with its pods", async () => {
  const transport = new FakeTransport();
  transport.create(jobs, job(30, "Complete"));
  const changed = job(50, "Complete");
  // Its event is late.
  transport.intercept = ({ method, path }) => (method === "GET" && path === `${jobs}/j` ? changed : undefined);
  const running = runController(ttlAfterFinishedController, transport);
  const deletion = () => transport.requests.find(({ method }) => method === "DELETE");
  const turns = async () => {
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  };
  await turns();
  running.clock.advance(20_000);
  await turns();
  assert.equal(deletion(), undefined);
  running.clock.advance(20_000);
  await running.until(deletion);
  assert.match(JSON.stringify(deletion()?.body), /"Foreground".*"uid":"u"|"uid":"u".*"Foreground"/);
  await running.stop();
});
