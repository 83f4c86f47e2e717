/** `sampan kubelet`: one node's kubelet alone, against any API server. The pod network and its bridge are the caller's. */
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { type FlagSpecs, realClock } from "#base";
import { createKubelet } from "#kubelet";
import { CommandError, defineCommand } from "./command.ts";
import { serveNode } from "./node-server.ts";
import { partFlags, runPart } from "./part.ts";
import { dataLayout, placeFlags } from "./settings.ts";
import { nodesFlags, readNodesFlags, startSimulated } from "./simulated.ts";
import { kubernetesVersion } from "./version.ts";

const flags = {
  ...partFlags,
  "data-dir": placeFlags["data-dir"],
  "node-name": placeFlags["node-name"],
  "node-ip": placeFlags["node-ip"],
  "container-runtime-endpoint": placeFlags["container-runtime-endpoint"],
  "cluster-dns": { type: "strings", default: ["10.96.0.10"], value: "IP", help: "Resolvers that pods are given." },
  "cluster-domain": placeFlags["cluster-domain"],
  runtime: placeFlags.runtime,
  ...nodesFlags,
  port: { type: "int", default: 10250, min: 1, max: 65535, value: "PORT", help: "Port of the node's HTTPS server." },
  "tls-cert-file": {
    type: "string",
    value: "FILE",
    help: "Certificate of that server; without it the server is not started.",
  },
  "tls-private-key-file": { type: "string", value: "FILE", help: "Its key." },
  "client-ca-file": { type: "string", value: "FILE", help: "Authority of the certificates that callers show." },
} as const satisfies FlagSpecs;

export const command = defineCommand({
  summary: "Run a kubelet alone",
  flags,
  async run(invocation) {
    const { flags: values } = invocation;
    const nodeName = values["node-name"] ?? hostname().toLowerCase();
    const layout = dataLayout(values["data-dir"]);
    const endpoint = values["container-runtime-endpoint"];
    const [certificate, key, clientCa] = [
      values["tls-cert-file"],
      values["tls-private-key-file"],
      values["client-ca-file"],
    ];
    const withServer = certificate !== undefined && key !== undefined && clientCa !== undefined;
    if (!withServer && (certificate ?? key ?? clientCa) !== undefined)
      throw new CommandError("--tls-cert-file, --tls-private-key-file and --client-ca-file go together");
    if (readNodesFlags(values))
      return runPart(
        "kubelet",
        invocation,
        async ({ client, log, signal }) => (await startSimulated(values, { client, log }, signal)).done,
      );
    return runPart("kubelet", invocation, ({ client, log, signal }) => {
      const kubelet = createKubelet(
        {
          nodeName,
          rootDir: layout.node(nodeName),
          version: kubernetesVersion,
          clusterDns: values["cluster-dns"],
          clusterDomain: values["cluster-domain"],
          imagesDir: layout.images,
          port: withServer ? values.port : 0,
          ...(values["node-ip"] ? { nodeIPs: [values["node-ip"]] } : {}),
          ...(endpoint ? { containerRuntimeEndpoint: endpoint } : {}),
        },
        { client, clock: realClock, log },
      );
      if (!withServer) return kubelet.run(signal);
      const tls = async () => ({
        certificate: await readFile(certificate, "utf8"),
        key: await readFile(key, "utf8"),
        clientCa: await readFile(clientCa, "utf8"),
      });
      const server = serveNode({ kubelet, nodeName, port: values.port, tls, client, clock: realClock, log }, signal);
      return [kubelet.run(signal), server];
    });
  },
});
