/** `sampan kubelet`: one node's kubelet alone, against any API server. The pod network and its bridge are the caller's. */
import { hostname } from "node:os";
import path from "node:path";
import { createLogger, type FlagSpecs, type LogLevel, realClock } from "#base";
import { createKubelet } from "#kubelet";
import { CommandError, defineCommand } from "./command.ts";
import { text } from "./flag-spec.ts";
import { fieldFlags, kubeletFlags, readKubeletFlags, readNodeLabels } from "./kubelet-flags.ts";
import { openKubeletClient } from "./kubelet-client.ts";
import { createServing } from "./kubelet-serving.ts";
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
  "bootstrap-kubeconfig": text(
    "FILE",
    "How to ask for a client certificate, with which --kubeconfig is written when it isn't there or of use any more.",
  ),
  "cert-dir": text("PATH", "Certificates of the node (default: pki in its folder)."),
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
    const { flags: values, err, out, signal } = invocation;
    const isSimulated = readNodesFlags(values);
    if (!isSimulated && values.nodes > 1)
      throw new CommandError(`--nodes ${values.nodes} works with --runtime simulated only: a kubelet is one node`);
    if (isSimulated)
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
    const [providers, binDir] = [
      values["image-credential-provider-config"],
      values["image-credential-provider-bin-dir"],
    ];
    const rootDir = values["root-dir"] ?? layout.node(nodeName);
    const certDir = values["cert-dir"] ?? path.join(rootDir, "pki");
    const log = createLogger({ write: err, level: values["log-level"] as LogLevel }); // one of the flag's choices
    const clock = realClock;
    const connection = await openKubeletClient({
      ...{ kubeconfig: values.kubeconfig, bootstrapKubeconfig: values["bootstrap-kubeconfig"] },
      ...{ certDir, nodeName, rotates: config.rotateCertificates, clock, log },
      mayStandAlone: config.staticPodPath !== "" || config.staticPodURL !== "",
    });
    const { client, server } = connection;
    const stop = new AbortController();
    const life = AbortSignal.any([signal, stop.signal]);
    const kubelet = createKubelet(
      {
        nodeName,
        rootDir,
        version: kubernetesVersion,
        imagesDir: layout.images,
        labels,
        config,
        cadvisorJsonEndpoints: values["enable-cadvisor-json-endpoints"],
        ...(server === undefined && config.podCIDR ? { podCidrs: config.podCIDR.split(",") } : {}),
        ...(values["node-ip"] ? { nodeIPs: values["node-ip"].split(",") } : {}),
        ...(providers && binDir ? { imageCredentialProvider: { configFile: providers, binDir } } : {}),
      },
      { client, clock, log },
    );
    const work = [connection.run(life), kubelet.run(life)];
    if (config.enableServer) {
      const serving = createServing({ kubelet, nodeName, certDir, client, clock, log });
      const server = { kubelet, nodeName, port: config.port, client, withHealth: true, clock, log };
      work.push(serving.run(life), serveNode({ ...server, tls: serving.tls, serving: serving.serving }, life));
    }
    out(server === undefined ? "kubelet runs its own pods only\n" : `kubelet works against ${server}\n`);
    try {
      await Promise.all(work);
    } finally {
      stop.abort();
      connection.close();
      await Promise.allSettled(work);
    }
    return 0;
  },
});
