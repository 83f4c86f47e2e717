/** TCP probes: a connection that opens is well. */
import { connect } from "node:net";
import { failure, joinHostPort, type ProbeOutcome, printSocketError, success } from "./outcome.ts";

export function probeTcp({
  host,
  port,
  timeoutMs,
}: {
  host: string;
  port: number;
  timeoutMs: number;
}): Promise<ProbeOutcome> {
  const address = joinHostPort(host, port);
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (outcome: ProbeOutcome): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(outcome);
    };
    const timer = setTimeout(() => end(failure(`dial tcp ${address}: i/o timeout`)), timeoutMs);
    socket.on("connect", () => end(success()));
    socket.on("error", (error) => end(failure(printSocketError(error, address))));
  });
}
