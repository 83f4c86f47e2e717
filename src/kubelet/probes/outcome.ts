/** What one probe found. `unknown` is not counted: the probe itself failed. */
export type ProbeOutcome =
  | { readonly result: "success" | "failure" | "warning"; readonly output: string }
  | { readonly result: "unknown"; readonly error: string };

export const success = (output = ""): ProbeOutcome => ({ result: "success", output });
export const failure = (output: string): ProbeOutcome => ({ result: "failure", output });

/** Go's words for what a socket said. */
export function printSocketError(error: NodeJS.ErrnoException, address: string): string {
  const texts: Readonly<Record<string, string>> = {
    ECONNREFUSED: "connect: connection refused",
    EHOSTUNREACH: "connect: no route to host",
    ENETUNREACH: "connect: network is unreachable",
    ETIMEDOUT: "connect: connection timed out",
  };
  if (error.code === "ECONNRESET")
    return error.syscall === "read" ? `read tcp ${address}: read: connection reset by peer` : "EOF";
  return `dial tcp ${address}: ${texts[error.code ?? ""] ?? error.message}`;
}

export const joinHostPort = (host: string, port: number): string =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
