/**
 * UDP has no end: the kernel goes on sending a client's packets to where it once chose. Flows of a service that go to none of its serving
 * endpoints are forgotten, as upstream does (pkg/proxy/conntrack/cleanup.go): one list and one deletion for any number of services.
 */
import { spawn } from "node:child_process";
import { networkInterfaces } from "node:os";
import { createInterface } from "node:readline";
import type { Family } from "../core/endpoints.ts";
import type { ServicePort } from "../core/service-port.ts";

/** Where clients of UDP services send to, `address:port` or `:port` at any address of this machine, and the `address:port` of who may answer. */
export type UdpFrontends = ReadonlyMap<string, ReadonlySet<string>>;

export interface Flow {
  readonly source: string;
  readonly sourcePort: string;
  readonly target: string;
  readonly targetPort: string;
  readonly answers: string;
  readonly answersPort: string;
}

/** Services without a serving endpoint keep their flows, as upstream: there is nobody better to send to. */
export function udpFrontends(ports: Iterable<ServicePort>): UdpFrontends {
  const all = new Map<string, ReadonlySet<string>>();
  for (const port of ports) {
    if (port.protocol !== "udp" || port.serving.length === 0) continue;
    const serving = new Set(port.serving.map((each) => each.replace(/[[\]]/g, "")));
    const { clusterAddress, externalAddresses, balancerAddresses } = port;
    for (const address of [clusterAddress, ...externalAddresses, ...balancerAddresses])
      if (address !== undefined) all.set(`${address}:${port.port}`, serving);
    for (const each of [port.nodePort, port.hostPort]) if (each) all.set(`:${each}`, serving);
  }
  return all;
}

/** `machine`: its own addresses; flows to a port of another machine that happens to be a node port are not ours. */
export function isStale(frontends: UdpFrontends, flow: Flow, machine: ReadonlySet<string>): boolean {
  const { target, targetPort, answers, answersPort } = flow;
  const atNode = machine.has(target) ? frontends.get(`:${targetPort}`) : undefined;
  const of = frontends.get(`${target}:${targetPort}`) ?? atNode;
  return of !== undefined && !of.has(`${answers}:${answersPort}`);
}

const flowLine =
  /src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+) (?:packets=\d+ bytes=\d+ )?(?:\[UNREPLIED\] )?src=(\S+) dst=\S+ sport=(\d+)/;

/** Of one line of `conntrack -L -p udp`; its IPv6 addresses are in the shortest form. */
export function parseFlow(line: string): Flow | undefined {
  const [, source, target, sourcePort, targetPort, answers, answersPort] = flowLine.exec(line) ?? [];
  return source && target && sourcePort && targetPort && answers && answersPort
    ? { source, sourcePort, target, targetPort, answers, answersPort }
    : undefined;
}

/** Answers how many flows were forgotten. Rejects with ENOENT on a machine without `conntrack`. */
export async function forgetStaleFlows(frontends: UdpFrontends, family: Family): Promise<number> {
  if (frontends.size === 0) return 0;
  const interfaces = Object.values(networkInterfaces());
  const machine = new Set(interfaces.flatMap((each) => (each ?? []).map(({ address }) => address)));
  const word = family.toLowerCase();
  const stale: Flow[] = [];
  await run(["conntrack", "-L", "-f", word, "-p", "udp"], {
    line(line) {
      const flow = parseFlow(line);
      if (flow && isStale(frontends, flow, machine)) stale.push(flow);
    },
  });
  if (stale.length === 0) return 0;
  const commands = stale.map(
    ({ source, sourcePort, target, targetPort }) =>
      `-D -f ${word} -p udp -s ${source} -d ${target} --sport ${sourcePort} --dport ${targetPort}\n`,
  );
  // A flow that ended meanwhile stops nothing. conntrack opens /dev/stdin, which fails for the sockets Node.js gives its children.
  await run(["sh", "-c", "cat | conntrack -R -"], { input: commands.join("") });
  return stale.length;
}

const complaintCharactersMax = 2000;

function run(
  [program = "", ...args]: readonly string[],
  { line, input }: { line?: (line: string) => void; input?: string },
): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["pipe", line ? "pipe" : "ignore", "pipe"] });
    let complaint = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      if (complaint.length < complaintCharactersMax) complaint += text;
    });
    if (line && child.stdout) createInterface(child.stdout).on("line", line);
    child.on("error", reject);
    child.on("close", (code) =>
      code === 0
        ? resolve()
        : reject(new Error(`${program} ${args.join(" ")}: exit code ${code}: ${complaint.trim()}`)),
    );
    child.stdin?.on("error", () => undefined); // the exit code tells why it stopped reading
    child.stdin?.end(input ?? "");
  });
}
