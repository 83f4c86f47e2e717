/** `sampan lb`: a haproxy in front of API servers and of node ports, written and reloaded as the cluster changes; also outside of it. */
import { mkdir, writeFile } from "node:fs/promises";
import { isIP } from "node:net";
import path from "node:path";
import type { LoadBalancerIngress } from "#api";
import { aborted, createLogger, type FlagSpecs, type FlagValues, type Logger, type LogLevel, realClock } from "#base";
import type { Balanced, ClusterOptions, Server } from "#ha";
import { kubeconfigPaths, kubeconfigTarget, readKubeconfig } from "#client";
import { CommandError, defineCommand, type Invocation } from "./command.ts";
import { list, text } from "./flag-spec.ts";
import { partFlags, runPart } from "./part.ts";

const flags = {
  ...partFlags,
  bind: {
    ...{ type: "strings", default: ["*"], value: "IP" },
    help: "Addresses to listen on; `*` is every IPv4 address, `::` every IPv6 one.",
  },
  apiservers: list("HOST:PORT", "API servers (default: those that the cluster names, while they are ready)."),
  "apiserver-port": {
    ...{ type: "int", default: 6443, min: 0, max: 65_535, value: "PORT" },
    help: "Port for API servers; 0: they aren't balanced.",
  },
  "certificate-authority": text("FILE", "Signs API servers' certificates (default: that of the kubeconfig)."),
  services: {
    ...{ type: "string", default: "LoadBalancer", choices: ["LoadBalancer", "NodePort", "none"] },
    help: "Which Services: of type LoadBalancer; those of type NodePort at their node ports, too; none.",
  },
  "node-address-type": {
    ...{ type: "string", default: "InternalIP", choices: ["InternalIP", "ExternalIP"] },
    help: "By which of their addresses nodes are reached.",
  },
  publish: list("IP|NAME", "Shown as the address of Services whose loadBalancerClass is sampan.dev/haproxy."),
  stats: text("IP:PORT", "Where haproxy shows its page of statistics."),
  haproxy: { type: "string", default: "haproxy", value: "FILE", help: "The program." },
  "run-dir": {
    ...{ type: "string", default: "/run/sampan-lb", value: "DIR" },
    help: "For haproxy's configuration, sockets and what it says.",
  },
  once: { type: "bool", help: "Write the configuration and end, for a haproxy of your own." },
  output: { type: "string", default: "-", value: "FILE", help: "Of --once; `-` is standard output." },
} as const satisfies FlagSpecs;
type Values = FlagValues<typeof flags>;

export const command = defineCommand({
  summary: "Run a haproxy in front of API servers and node ports",
  flags,
  async run(invocation) {
    const { flags: values, signal } = invocation;
    const stop = new AbortController();
    const life = AbortSignal.any([signal, stop.signal]);
    const apiservers = await readApiservers(values);
    const ports = readStats(values);
    if (values.services === "none" && (!apiservers || apiservers.servers.length > 0))
      return balanceFixed(invocation, apiservers);
    return runPart(
      "sampan-lb",
      { ...invocation, signal: life },
      async ({ client, informers, log, signal: leading }) => {
        const { followCluster } = await import("#ha");
        const cluster = followCluster({
          ...{
            client,
            informers,
            apiservers,
            statsPort: ports,
            publish: values.publish.map(shown),
            clock: realClock,
            log,
          },
          services:
            values.services === "none"
              ? undefined
              : {
                  binds: values.bind,
                  addressType: values["node-address-type"],
                  withNodePorts: values.services === "NodePort",
                },
        });
        await Promise.race([cluster.synced(), aborted(leading)]);
        if (leading.aborted) return;
        if (values.once) {
          await writeOnce(invocation, cluster.plan());
          stop.abort();
          return;
        }
        const balancer = await startBalancer(values, log, (running, refused) => void cluster.report(running, refused));
        try {
          await balancer.want(cluster.plan());
          const unfollow = cluster.follow(() => {
            balancer.want(cluster.plan()).catch((error: unknown) => {
              log.error("haproxy goes on as before", { error: (error as Error).message });
            });
          });
          await aborted(leading);
          unfollow();
        } finally {
          await balancer.close();
          await cluster.close();
        }
      },
    );
  },
});

const shown = (address: string): LoadBalancerIngress =>
  isIP(address) === 0 ? { hostname: address } : { ip: address, ipMode: "Proxy" };

/** API servers that are known, and nothing of the cluster: it needn't be there. */
async function balanceFixed(
  invocation: Invocation<typeof flags>,
  apiservers: ClusterOptions["apiservers"],
): Promise<number> {
  const { flags: values, signal, err } = invocation;
  if (!apiservers)
    throw new CommandError("neither API servers (--apiserver-port 0) nor --services: nothing is left to do");
  const { balancedApiServers } = await import("#ha");
  const balanced = [balancedApiServers(apiservers, apiservers.servers)];
  if (values.once) {
    await writeOnce(invocation, balanced);
    return 0;
  }
  const balancer = await startBalancer(
    values,
    createLogger({ write: err, level: values["log-level"] as LogLevel }),
    () => undefined,
  ); // one of the flag's choices
  try {
    await balancer.want(balanced);
    await aborted(signal);
  } finally {
    await balancer.close();
  }
  return 0;
}

async function startBalancer(
  values: Values,
  log: Logger,
  changed: (running: readonly Balanced[], refused: ReadonlyMap<string, string>) => void,
) {
  const { createBalancer, createHaproxy, HaproxyError } = await import("#ha");
  const directory = path.resolve(values["run-dir"]);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const haproxy = createHaproxy({ program: values.haproxy, directory, clock: realClock, log });
  const balancer = createBalancer({ haproxy, stats: values.stats, changed, clock: realClock, log });
  let isFirst = true;
  return {
    /** What is wrong at a start is the person's to mend. */
    async want(balanced: readonly Balanced[]) {
      try {
        await balancer.want(balanced);
        isFirst = false;
      } catch (error) {
        if (isFirst && error instanceof HaproxyError) throw new CommandError(error.message);
        throw error;
      }
    },
    close: () => haproxy.close(),
  };
}

async function writeOnce(
  { flags: values, out }: Invocation<typeof flags>,
  balanced: readonly Balanced[],
): Promise<void> {
  const { printConfig } = await import("#ha");
  const config = printConfig(
    balanced.map((each) => ({ ...each, slots: each.servers })),
    { stats: values.stats },
  );
  if (values.output === "-") out(config);
  else await writeFile(values.output, config);
}

async function readApiservers(values: Values): Promise<ClusterOptions["apiservers"]> {
  if (values["apiserver-port"] === 0) return undefined;
  const { isHost } = await import("#ha");
  const servers = values.apiservers.map((given): Server => {
    const [, bracketed, host = bracketed ?? "", port] = /^(?:\[(.*)\]|([^:]*)):(\d+)$/.exec(given) ?? [];
    if (!isHost(host) || !(Number(port) > 0 && Number(port) < 65_536))
      throw new CommandError(`--apiservers: want HOST:PORT, have "${given}"`);
    return { address: host, port: Number(port) };
  });
  const { bind: binds, "apiserver-port": port } = values;
  for (const bind of binds)
    if (bind !== "*" && isIP(bind) === 0) throw new CommandError(`--bind: want an IP address or *, have "${bind}"`);
  return { binds, port, servers, ca: await authorityFile(values) };
}

/** haproxy wants a file. */
async function authorityFile(values: Values): Promise<string | undefined> {
  if (values["certificate-authority"] !== undefined) return path.resolve(values["certificate-authority"]);
  let ca: string | undefined;
  try {
    const paths = kubeconfigPaths(process.env, values.kubeconfig);
    const target = await kubeconfigTarget(await readKubeconfig(paths, { mustExist: values.kubeconfig !== undefined }));
    if (target.transport.insecure) return undefined;
    ca = target.transport.ca;
  } catch (error) {
    throw new CommandError(
      `the API servers' authority is in no --certificate-authority and no kubeconfig: ${(error as Error).message}`,
    );
  }
  if (ca === undefined) return "/etc/ssl/certs/ca-certificates.crt";
  const file = path.resolve(values["run-dir"], "ca.crt");
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  await writeFile(file, ca);
  return file;
}

function readStats({ stats }: Values): number | undefined {
  if (stats === undefined) return undefined;
  const found = /^(.*):(\d+)$/.exec(stats);
  const port = Number(found?.[2]);
  if (!found || !(port > 0 && port < 65_536) || (found[1] !== "" && found[1] !== "*" && isIP(found[1] ?? "") === 0))
    throw new CommandError(`--stats: want IP:PORT, have "${stats}"`);
  return port;
}
