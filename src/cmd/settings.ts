/** The flags that several subcommands share, and the layout of the data folder. */
import path from "node:path";
import type { FlagSpecs } from "#base";
import { networkModes } from "#network";

export const placeFlags = {
  config: {
    type: "string",
    value: "FILE",
    help: "YAML file with flags as keys (default /etc/sampan/config.yaml when it is there).",
  },
  "data-dir": { type: "string", default: "/var/lib/sampan", value: "PATH", help: "Where all state is kept." },
  "bind-address": { type: "string", default: "0.0.0.0", value: "IP", help: "Address the API server listens on." },
  "secure-port": { type: "int", default: 6443, min: 1, max: 65535, value: "PORT", help: "Port of the API server." },
  "service-cidr": {
    type: "string",
    default: "10.96.0.0/16",
    value: "CIDR[,CIDR]",
    help: "Addresses of Services; two ranges are of different families.",
  },
  "cluster-cidr": { type: "string", default: "10.244.0.0/16", value: "CIDR[,CIDR]", help: "Addresses of pods." },
  "cluster-domain": { type: "string", default: "cluster.local", value: "NAME", help: "Domain of the cluster's DNS." },
  runtime: {
    type: "string",
    default: "containerd",
    choices: ["containerd", "simulated"],
    help: "What runs containers.",
  },
  "container-runtime-endpoint": {
    type: "string",
    value: "SOCKET",
    help: "CRI socket of a runtime that is there already; otherwise a private containerd is started.",
  },
  "tls-san": {
    type: "strings",
    value: "NAME|IP",
    help: "What else the API server's certificate is for: a load balancer's address, another name.",
  },
  "node-ip": { type: "string", value: "IP[,IP]", help: "Address of this node (default: that of the default route)." },
  "node-name": { type: "string", value: "NAME", help: "Name of this node (default: the host's)." },
  "log-level": { type: "string", default: "info", choices: ["debug", "info", "warn", "error"], help: "What to log." },
} as const satisfies FlagSpecs;

/** Of those that decide for a whole cluster; machines that join learn it. */
export const networkFlags = {
  network: {
    type: "string",
    default: "auto",
    choices: networkModes,
    help: "How pods reach those of other nodes: routes to neighbours and VXLAN to others; one of both; none: a CNI plugin of yours.",
  },
} as const satisfies FlagSpecs;

/** Of each machine with a node. */
export const nodeProxyFlags = {
  "proxy-mode": {
    type: "string",
    default: "nftables",
    choices: ["nftables", "userspace"],
    help: "What carries Services: rules of nftables, or sockets of this process (as where there is no nftables).",
  },
} as const satisfies FlagSpecs;

/** Everything under the data folder, by name. */
export function dataLayout(dataDirectory: string) {
  const at = (...parts: string[]) => path.join(path.resolve(dataDirectory), ...parts);
  return {
    root: at(),
    database: at("store", "state.db"),
    pki: at("pki"),
    kubeconfig: at("admin.kubeconfig"),
    pidFile: at("sampan.pid"),
    log: at("sampan.log"),
    images: at("images"),
    containerd: at("containerd"),
    node: (name: string) => at("nodes", name),
  };
}
