/** What the error channel of exec and attach says: a Status, also for a command that went well. */
import type { Status } from "#machinery";
import { StatusError, statusError } from "#machinery";

type ChannelStatus = Omit<Status, "kind" | "apiVersion" | "message"> & Partial<Pick<Status, "message">>;

const success: ChannelStatus = { metadata: {}, status: "Success" };
const nonZeroExit = "NonZeroExitCode";
const exitCause = "ExitCode";

/**
 * What the client is told, from what the runtime said on its error stream. Upstream decodes it and says it again in its own words;
 * clients know those. `text` "": nothing was said.
 */
export function statusToTell(text: string): ChannelStatus {
  if (text === "") return success;
  let said: Partial<Status>;
  try {
    said = JSON.parse(text);
  } catch (error) {
    return failure(`error stream protocol error: ${(error as Error).message} in ${JSON.stringify(text)}`); // a SyntaxError
  }
  if (said.status === "Success") return success;
  if (said.status !== "Failure") return failure("error stream protocol error: unknown error");
  if (said.reason !== nonZeroExit) return failure(said.message ?? "");
  if (!said.details) return failure("error stream protocol error: details must be set");
  const cause = said.details.causes?.find(({ reason }) => reason === exitCause);
  if (!cause) return failure(`error stream protocol error: no ${exitCause} cause given`);
  const code = cause.message ?? "";
  if (!/^\d{1,3}$/.test(code) || Number(code) > 255) {
    return failure(`error stream protocol error: invalid exit code value ${JSON.stringify(code)}`);
  }
  return {
    metadata: {},
    status: "Failure",
    message: `command terminated with non-zero exit code: command terminated with exit code ${Number(code)}`,
    reason: nonZeroExit,
    details: { causes: [{ reason: exitCause, message: String(Number(code)) }] },
  };
}

/** An error before the command ran, or of the connection. */
export const statusOfError = (error: unknown): ChannelStatus =>
  error instanceof StatusError && error.reason !== ""
    ? withoutKind(error.status)
    : failure(error instanceof Error ? error.message : String(error));

const failure = (message: string): ChannelStatus => withoutKind(statusError.internal(message).status);

/** Upstream sends these without saying what they are. */
function withoutKind({ kind: _kind, apiVersion: _apiVersion, ...rest }: Status): ChannelStatus {
  return rest;
}
