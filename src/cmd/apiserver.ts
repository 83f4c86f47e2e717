/** `sampan apiserver`: the API server alone on the embedded store; no loops, no node. */
import { createLogger, type FlagSpecs, type FlagValues, type Logger, type LogLevel, realClock } from "#base";
import { checkAddresses } from "./addresses.ts";
import { apiFlags, readApiFlags } from "./api-flags.ts";
import { CommandError, defineCommand, type Invocation } from "./command.ts";
import { type ControlPlane, startControlPlane } from "./control-plane.ts";
import { keepAdminKubeconfig } from "./kubeconfig-file.ts";
import { portHolder } from "./machine.ts";
import { ownAddress } from "./simulated.ts";
import { exitWith, runCommand } from "./run-command.ts";
import { withServiceRanges } from "./service-flags.ts";
import { dataLayout, placeFlags } from "./settings.ts";

const {
  runtime: _runtime,
  "container-runtime-endpoint": _endpoint,
  "node-ip": _ip,
  "node-name": _name,
  "cluster-cidr": _cidr,
  ...place
} = placeFlags;

export const apiserverFlags = {
  ...place,
  "advertise-address": {
    type: "string",
    value: "IP",
    help: "Address under which others reach this server (default: the bind address).",
  },
  ...apiFlags,
} as const satisfies FlagSpecs;

type ApiserverValues = FlagValues<typeof apiserverFlags>;

export const command = defineCommand({
  summary: "Run the API server alone",
  flags: apiserverFlags,
  run: (invocation) => runApiServer(invocation),
});

/** Until the signal aborts. `beside`: what runs in the same process, and resolves when it has ended. */
export async function runApiServer(
  { flags: given, out, err, signal }: Pick<Invocation<typeof apiserverFlags>, "flags" | "out" | "err" | "signal">,
  beside?: (context: { plane: ControlPlane; values: ApiserverValues; address: string; log: Logger }) => Promise<void>,
): Promise<number> {
  const values = withServiceRanges(given);
  const log = createLogger({ write: err, level: values["log-level"] as LogLevel }); // one of the flag's choices
  checkAddresses(values, []);
  const layout = dataLayout(values["data-dir"]);
  const holder = portHolder(values["secure-port"]);
  if (holder)
    throw new CommandError(`port ${values["secure-port"]} is held by ${holder}; stop it, or pass --secure-port N`);
  const bind = values["bind-address"];
  // A whole control plane is for machines that join.
  const everywhere = beside ? ownAddress() : "127.0.0.1";
  const advertiseAddress = values["advertise-address"] ?? (bind === "0.0.0.0" || bind === "::" ? everywhere : bind);
  const plane = await startControlPlane({
    layout,
    serviceCidr: values["service-cidr"],
    clusterDomain: values["cluster-domain"],
    bindAddress: bind,
    port: values["secure-port"],
    advertiseAddress,
    alsoCalled: values["tls-san"],
    ...(await readApiFlags(values, log)),
    // A whole control plane shows what nodes use; an API server alone leaves it to others, as upstream's.
    resourceMetrics: beside && { usage: () => undefined },
    clock: realClock,
    log,
  });
  try {
    await keepAdminKubeconfig(plane, {
      file: layout.kubeconfig,
      server: `https://${advertiseAddress}:${plane.port}`,
      log,
    });
    out(`serving on https://${advertiseAddress}:${plane.port}; export KUBECONFIG=${layout.kubeconfig}\n`);
    await beside?.({ plane, values, address: advertiseAddress, log });
    if (!signal.aborted) await new Promise((done) => signal.addEventListener("abort", done, { once: true }));
  } finally {
    await plane.close();
  }
  return 0;
}

if (import.meta.main) await exitWith(runCommand("apiserver", command, process.argv.slice(2)));
