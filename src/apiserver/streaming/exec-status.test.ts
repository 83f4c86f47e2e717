import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { StatusError, statusError } from "#machinery";
import { statusOfError, statusToTell } from "./exec-status.ts";

const internal = (message: string) => ({
  metadata: {},
  status: "Failure",
  message: `Internal error occurred: ${message}`,
  reason: "InternalError",
  details: { causes: [{ message }] },
  code: 500,
});
const exited = (message: unknown, details: unknown = { causes: [{ reason: "ExitCode", message }] }): string =>
  JSON.stringify({ metadata: {}, status: "Failure", reason: "NonZeroExitCode", details, message: "whatever" });

describe("status of a command: what the client is told", () => {
  const cases: readonly [string, string, object][] = [
    ["nothing", "", { metadata: {}, status: "Success" }],
    ["success", '{"metadata":{},"status":"Success"}', { metadata: {}, status: "Success" }],
    [
      "an exit code, in upstream's words",
      exited("7"),
      {
        metadata: {},
        status: "Failure",
        message: "command terminated with non-zero exit code: command terminated with exit code 7",
        reason: "NonZeroExitCode",
        details: { causes: [{ reason: "ExitCode", message: "7" }] },
      },
    ],
    ["no details", exited("7", null), internal("error stream protocol error: details must be set")],
    ["no cause", exited("7", {}), internal("error stream protocol error: no ExitCode cause given")],
    ["a code too large", exited("256"), internal('error stream protocol error: invalid exit code value "256"')],
    ["a code that is none", exited("x"), internal('error stream protocol error: invalid exit code value "x"')],
    ["another failure", '{"status":"Failure","message":"no such file"}', internal("no such file")],
    ["no status", "{}", internal("error stream protocol error: unknown error")],
  ];
  for (const [name, said, told] of cases) test(name, () => assert.deepEqual(statusToTell(said), told));

  test("no JSON", () => {
    const { message = "" } = statusToTell("oops");
    assert.match(message, /^Internal error occurred: error stream protocol error: .* in "oops"$/);
  });

  test("errors: a Status as it is, anything else as an internal error", () => {
    const { kind: _, apiVersion: __, ...status } = statusError.badRequest("no").status;
    assert.deepEqual(statusOfError(new StatusError(statusError.badRequest("no").status)), status);
    assert.deepEqual(statusOfError(new Error("why")), internal("why"));
  });
});
