/** `sampan kubelet`: one node's kubelet alone, against any API server. The pod network and its bridge are the caller's. */
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { type FlagSpecs, realClock } from "#base";
import { createKubelet } from "#kubelet";
import { CommandError, defineCommand } from "./command.ts";
import { text } from "./flag-spec.ts";
import { fieldFlags, kubeletFlags, readKubeletFlags, readNodeLabels } from "./kubelet-flags.ts";
import { serveNode } from "./node-server.ts";
import { partFlags, runPart } from "./part.ts";
import { dataLayout, placeFlags } from "./settings.ts";
import { nodesFlags, readNodesFlags, startSimulated } from "./simulated.ts";
import { kubernetesVersion } from "./version.ts";

const flags = {
  ...partFlags,
  config: text(
    "FILE",
    "A KubeletConfiguration; or a YAML file with flags as keys (default /etc/sampan/config.yaml when it is there); or, as long ago, a folder of static pods.",
  ),
  ...(fieldFlags as object), // read by their fields
  ...kubeletFlags,
  "data-dir": placeFlags["data-dir"],
  "root-dir": text("PATH", "Where this node keeps its files (default: in the data folder)."),
  "node-name": placeFlags["node-name"],
  "hostname-override": text("NAME", "Upstream's name of --node-name."),
  "node-ip": text("IP[,IP]", "Addresses of this node (default: that of the default route)."),
  "image-credential-provider-config": text("FILE", "Programs that know passwords of registries, or a folder of files."),
  "image-credential-provider-bin-dir": text("PATH", "Where these programs are."),
  runtime: placeFlags.runtime,
  ...nodesFlags,
} as const satisfies FlagSpecs;

export const command = defineCommand({
  summary: "Run a kubelet alone",
  flags,
  async run(invocation) {
    const { flags: values, err } = invocation;
    if (readNodesFlags(values))
      return runPart(
        "kubelet",
        invocation,
        async ({ client, log, signal }) => (await startSimulated(values, { client, log }, signal)).done,
      );
    const nodeName = (values["hostname-override"] ?? values["node-name"] ?? hostname()).trim().toLowerCase();
    const layout = dataLayout(values["data-dir"]);
    const labels = readNodeLabels(values["node-labels"]);
    const config = await readKubeletFlags(values, {
      clusterDNS: ["10.96.0.10"],
      flags: Object.keys(fieldFlags),
      warn: (message) => err(`sampan kubelet: ${message}\n`),
    });
    const { port, tlsCertFile, tlsPrivateKeyFile } = config;
    const { clientCAFile } = config.authentication.x509;
    const withServer = config.enableServer && [tlsCertFile, tlsPrivateKeyFile, clientCAFile].every(Boolean);
    if (!withServer && [tlsCertFile, tlsPrivateKeyFile, clientCAFile].some(Boolean))
      throw new CommandError("--tls-cert-file, --tls-private-key-file and --client-ca-file go together");
    const [providers, binDir] = [
      values["image-credential-provider-config"],
      values["image-credential-provider-bin-dir"],
    ];
    return runPart("kubelet", invocation, ({ client, log, signal }) => {
      const kubelet = createKubelet(
        {
          nodeName,
          rootDir: values["root-dir"] ?? layout.node(nodeName),
          version: kubernetesVersion,
          imagesDir: layout.images,
          labels,
          config: { ...config, enableServer: withServer },
          cadvisorJsonEndpoints: values["enable-cadvisor-json-endpoints"],
          ...(values["node-ip"] ? { nodeIPs: values["node-ip"].split(",") } : {}),
          ...(providers && binDir ? { imageCredentialProvider: { configFile: providers, binDir } } : {}),
        },
        { client, clock: realClock, log },
      );
      if (!withServer) return kubelet.run(signal);
      const tls = async () => ({
        certificate: await readFile(tlsCertFile, "utf8"),
        key: await readFile(tlsPrivateKeyFile, "utf8"),
        clientCa: await readFile(clientCAFile, "utf8"),
      });
      const server = serveNode(
        { kubelet, nodeName, port, tls, client, withHealth: true, clock: realClock, log },
        signal,
      );
      return [kubelet.run(signal), server];
    });
  },
});
