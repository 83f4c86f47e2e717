/** One probe of a container, whichever kind its spec asks for. */
import { expandStatic } from "../core/env.ts";
import { type ProbeSpec, timeoutMs } from "../core/probe-state.ts";
import { goQuote } from "#machinery";
import { type ContainerSpec, type PodView, printPod } from "../core/types.ts";
import type { CriClient } from "../cri/client.ts";
import { execInContainer } from "./exec.ts";
import { probeHttp } from "./http.ts";
import { failure, type ProbeOutcome, success } from "./outcome.ts";
import { probeTcp } from "./tcp.ts";

export interface ProbeTarget {
  readonly cri: CriClient;
  readonly pod: PodView;
  readonly container: ContainerSpec;
  readonly containerId: string;
  readonly podIP: string;
}

/** Events and statuses carry the output. */
const outputBytesMax = 10 * 1024;

export async function runProbe(spec: ProbeSpec, target: ProbeTarget): Promise<ProbeOutcome> {
  const { container, podIP } = target;
  try {
    if (spec.exec) return await probeExec(spec, target);
    if (spec.httpGet) {
      const { scheme = "HTTP", host, port, path = "", httpHeaders = [] } = spec.httpGet;
      return await probeHttp({
        scheme,
        host: host || podIP,
        port: resolvePort(port, container),
        path,
        headers: httpHeaders,
        timeoutMs: timeoutMs(spec),
      });
    }
    if (spec.tcpSocket)
      return await probeTcp({
        host: spec.tcpSocket.host || podIP,
        port: resolvePort(spec.tcpSocket.port, container),
        timeoutMs: timeoutMs(spec),
      });
    if (spec.grpc) {
      const { probeGrpc } = await import("./grpc.ts");
      return await probeGrpc({
        host: podIP,
        port: spec.grpc.port,
        service: spec.grpc.service ?? "",
        timeoutMs: timeoutMs(spec),
      });
    }
    return { result: "unknown", error: `missing probe handler for ${printPod(target.pod)}:${container.name}` };
  } catch (error) {
    return { result: "unknown", error: error instanceof Error ? error.message : String(error) };
  }
}

async function probeExec(spec: ProbeSpec, { cri, container, containerId }: ProbeTarget): Promise<ProbeOutcome> {
  const command = expandStatic(spec.exec?.command ?? [], container);
  const outcome = await execInContainer(cri, { containerId, command, timeoutMs: timeoutMs(spec) });
  if (outcome.kind === "timeout") return failure(outcome.message);
  if (outcome.kind === "error") return { result: "unknown", error: outcome.message };
  const output = Buffer.from(outcome.output).subarray(0, outputBytesMax).toString();
  return outcome.exitCode === 0 ? success(output) : failure(output);
}

/** A number, or the name of one of the container's ports. Throws with Go's text. */
export function resolvePort(port: number | string, container: ContainerSpec): number {
  const named = typeof port === "string" ? container.ports?.find(({ name = "" }) => name === port) : undefined;
  const found = named?.containerPort ?? Number(port);
  if (typeof port === "string" && !named && !/^[+-]?\d+$/.test(port))
    throw new Error(`strconv.Atoi: parsing ${goQuote(port)}: invalid syntax`);
  if (found > 0 && found < 65536) return found;
  throw new Error(`invalid port number: ${found}`);
}
