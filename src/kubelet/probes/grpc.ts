/** gRPC probes: the standard health service must answer SERVING. Its two messages have one field each and are written by hand. */
import { printDuration } from "#base";
import { codeName } from "./exec.ts";
import { failure, joinHostPort, type ProbeOutcome, success } from "./outcome.ts";

const statuses = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

export async function probeGrpc(options: {
  host: string;
  port: number;
  service: string;
  timeoutMs: number;
}): Promise<ProbeOutcome> {
  const { host, port, service, timeoutMs } = options;
  const address = joinHostPort(host, port);
  const grpc = await import("@grpc/grpc-js");
  const client = new grpc.Client(address, grpc.credentials.createInsecure(), {
    "grpc.enable_http_proxy": 0,
    "grpc.initial_reconnect_backoff_ms": 1000,
    "grpc.primary_user_agent": "kube-probe/1.36",
  });
  const encode = (name: string): Buffer =>
    Buffer.concat([Buffer.from(name ? [0x0a, Buffer.byteLength(name)] : []), Buffer.from(name)]);
  const decode = (bytes: Buffer): string => statuses[bytes[0] === 0x08 ? (bytes[1] ?? 0) : 0] ?? "UNKNOWN";
  const deadline = Date.now() + timeoutMs;
  try {
    // As the original, which tries to connect as long as there is time, and doesn't say why it couldn't.
    const isConnected = await new Promise<boolean>((resolve) =>
      client.waitForReady(deadline, (error) => resolve(!error)),
    );
    if (!isConnected)
      return failure(
        `timeout: failed to connect service ${JSON.stringify(address)} within ${printDuration(timeoutMs)}: context deadline exceeded`,
      );
    const status = await new Promise<string>((resolve, reject) => {
      client.makeUnaryRequest("/grpc.health.v1.Health/Check", encode, decode, service, { deadline }, (error, answer) =>
        error ? reject(error) : resolve(answer ?? "UNKNOWN"),
      );
    });
    return status === "SERVING"
      ? success("service healthy")
      : failure(`service unhealthy (responded with ${JSON.stringify(status)})`);
  } catch (error) {
    const { code, details = "" } = error as { code?: number; details?: string }; // what gRPC rejects with
    if (code === grpc.status.UNIMPLEMENTED)
      return failure(
        `error: this server does not implement the grpc health protocol (grpc.health.v1.Health): ${details}`,
      );
    if (code === grpc.status.DEADLINE_EXCEEDED)
      return failure(`timeout: health rpc did not complete within ${printDuration(timeoutMs)}`);
    const name = Object.entries(grpc.status).find(([, value]) => value === code)?.[0] ?? "UNKNOWN";
    return failure(`error: health rpc probe failed: rpc error: code = ${codeName(name)} desc = ${details}`);
  } finally {
    client.close();
  }
}
