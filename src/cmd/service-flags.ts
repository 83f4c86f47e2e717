/** The flags about addresses and ports of Services and who is behind `kubernetes`, under upstream's names; and how long events live. */
import { defaultPortRange, parsePortRange, portInRange, type PortRange } from "#apiserver";
import { FlagError, type FlagSpecs, type FlagValues } from "#base";
import { CommandError } from "./command.ts";
import { text } from "./flag-spec.ts";

export const serviceFlags = {
  "service-cluster-ip-range": text("CIDR[,CIDR]", "Upstream's name of --service-cidr; wins over it."),
  "service-node-port-range": {
    type: "string",
    default: defaultPortRange.text,
    value: "FIRST-LAST",
    help: "Node ports of Services, both ends in.",
  },
  "kubernetes-service-node-port": {
    type: "int",
    default: 0,
    min: 0,
    max: 65535,
    help: "Node port of the Service `kubernetes` when it is first made; 0: none.",
  },
  "endpoint-reconciler-type": {
    type: "string",
    default: "lease",
    choices: ["lease", "none"],
    help: "How servers share the endpoints of the Service `kubernetes`; `none` leaves them to others.",
  },
  "event-ttl": { type: "duration", default: 3_600_000, value: "TIME", help: "How long events live." },
} as const satisfies FlagSpecs;

export interface ServiceSettings {
  readonly nodePorts: PortRange;
  readonly serviceNodePort: number;
  readonly endpointReconciler: "lease" | "none";
  readonly eventSeconds: number;
}

export function readServiceFlags(values: FlagValues<typeof serviceFlags>): ServiceSettings {
  const nodePorts = parsePorts(values["service-node-port-range"]);
  const serviceNodePort = values["kubernetes-service-node-port"];
  if (serviceNodePort > 0 && !portInRange(nodePorts, serviceNodePort))
    throw new CommandError(`kubernetes service node port range ${nodePorts.text} doesn't contain ${serviceNodePort}`);
  return {
    nodePorts,
    serviceNodePort,
    endpointReconciler: values["endpoint-reconciler-type"] === "none" ? "none" : "lease",
    eventSeconds: Math.max(1, Math.round(values["event-ttl"] / 1000)),
  };
}

function parsePorts(range: string): PortRange {
  try {
    return parsePortRange(range);
  } catch (error) {
    throw new FlagError(`--service-node-port-range: ${(error as Error).message}`);
  }
}

/** Flags of a command with the ranges of Services under the name that all of its parts read. */
export function withServiceRanges<
  V extends { readonly "service-cidr": string; readonly "service-cluster-ip-range": string | undefined },
>(values: V): V {
  return {
    ...values,
    "service-cidr": (values["service-cluster-ip-range"] ?? values["service-cidr"]).replaceAll(" ", ""),
  };
}
