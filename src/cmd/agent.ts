/** `sampan agent`: makes this machine a node of a cluster whose server runs elsewhere; it joins with a token, and later by what it keeps. */
import { mkdir, rm } from "node:fs/promises";
import { hostname, networkInterfaces } from "node:os";
import path from "node:path";
import { createLogger, type FlagSpecs, type LogLevel, realClock } from "#base";
import { assess, printFindings } from "#cli";
import { bridgeName } from "#network";
import { addressTowards } from "./address-towards.ts";
import { checkNode } from "./addresses.ts";
import { networkOfNode, settingsOf } from "./agent-cluster.ts";
import { CommandError, defineCommand } from "./command.ts";
import { credentialFiles, openCredentials } from "./credentials.ts";
import { list, text } from "./flag-spec.ts";
import { placesOf, writeInstance } from "./instance.ts";
import { openKubeletClient } from "./kubelet-client.ts";
import { kubeletFlags, readKubeletFlags, readNodeLabels } from "./kubelet-flags.ts";
import { createServing } from "./kubelet-serving.ts";
import { gatherMachineFacts } from "./machine.ts";
import { holdFolder, ownNamespace, recordFile, refuseSecondAgent } from "./node-record.ts";
import { startNode } from "./node.ts";
import { Parts } from "./parts.ts";
import { dataLayout, nodeProxyFlags, placeFlags } from "./settings.ts";
import { kubernetesVersion } from "./version.ts";

const {
  config,
  runtime: _runtime,
  "tls-san": _san,
  "node-ip": nodeIp,
  "node-name": nodeNameFlag,
  ...place
} = placeFlags;

const flags = {
  config,
  "data-dir": place["data-dir"],
  server: list("URL", "Servers of the cluster, https://ADDRESS:6443; several are tried in turn."),
  token: text("ID.SECRET", "What `sampan token create` printed; needed until this machine has a certificate."),
  "ca-cert-hash": list("sha256:HEX", "Hash of the key of the cluster's authority, as kubeadm's."),
  "unsafe-skip-ca-verification": {
    type: "bool",
    help: "Join without --ca-cert-hash: believe whoever knows the token.",
  },
  ...kubeletFlags,
  ...nodeProxyFlags,
  "container-runtime-endpoint": place["container-runtime-endpoint"],
  "node-ip": nodeIp,
  "node-name": nodeNameFlag,
  "log-level": place["log-level"],
} as const satisfies FlagSpecs;

export const command = defineCommand({
  summary: "Make this machine a node of a cluster",
  flags,
  async run({ flags: values, out, err, signal }) {
    const clock = realClock;
    const log = createLogger({ write: err, level: values["log-level"] as LogLevel }); // one of the flag's choices
    const layout = dataLayout(values["data-dir"]);
    const nodeName = (values["node-name"] ?? hostname()).toLowerCase();
    const addresses = Object.values(networkInterfaces()).flatMap((each = []) => each.map(({ address }) => address));
    const givenIps = values["node-ip"]?.split(",");
    checkNode(nodeName, givenIps ?? [], addresses);
    const kubeletConfig = (clusterDNS: readonly string[], clusterDomain?: string) =>
      readKubeletFlags(
        { ...values, ...(clusterDomain !== undefined && { "cluster-domain": clusterDomain }) },
        { clusterDNS, warn: (message) => log.warn(message) },
      );
    // Mistakes are told before anything runs.
    const { port } = await kubeletConfig([]);
    const labels = readNodeLabels(values["node-labels"]);
    await refuseSecondAgent(layout, nodeName);
    const facts = await gatherMachineFacts({ dataDirectory: values["data-dir"], port });
    const fatal = assess(facts).filter(({ verdict }) => verdict === "fatal");
    if (fatal.length > 0) throw new CommandError(`this machine can't be a node yet:\n${printFindings(fatal)}`);
    const rootDir = layout.node(nodeName);
    await mkdir(rootDir, { recursive: true, mode: 0o711 });
    const stop = new AbortController();
    // Whoever started it as part of a cluster has ended.
    if (process.connected) process.once("disconnect", () => stop.abort());
    const life = AbortSignal.any([signal, stop.signal]);
    const record = recordFile(layout, nodeName);
    holdFolder(layout, nodeName);
    await writeInstance(record, { port, nodeName, bridge: bridgeName, namespace: ownNamespace() });
    const parts = new Parts(stop);
    const ending: (() => void)[] = [];
    try {
      const credentials = await openCredentials(
        { flags: values, folder: rootDir, nodeName, nodeAddresses: givenIps ?? addresses, clock, log },
        life,
      );
      const certDir = path.join(rootDir, "pki");
      const { kubeconfig, bootstrapKubeconfig, authorityFile, servers } = credentials;
      const connection = await openKubeletClient({
        ...{ kubeconfig, bootstrapKubeconfig, certDir, nodeName, servers, rotates: true, mayStandAlone: false },
        ...{ clock, log },
      });
      ending.push(() => connection.close());
      const { client } = connection;
      parts.add("the node's certificate", connection.run(life));
      const towards = givenIps ? undefined : await addressTowards(servers[0] ?? "");
      const nodeIps = givenIps ?? (towards === undefined ? undefined : [towards]);
      const settings = await settingsOf(client, credentialFiles(rootDir).settings, { log, signal: life, parts });
      if (!settings) return 0;
      // The token has done its work.
      await rm(credentialFiles(rootDir).bootstrap, { force: true });
      const configuration = await kubeletConfig([settings.dnsAddress], settings.clusterDomain);
      Object.assign(configuration, { serverTLSBootstrap: true, rotateCertificates: true });
      Object.assign(configuration.authentication.x509, { clientCAFile: authorityFile });
      await writeInstance(record, {
        ...{ port, nodeName, bridge: bridgeName, namespace: ownNamespace() },
        kubelet: placesOf(configuration),
      });
      // As soon as the cluster gave this node its share of the pods' addresses.
      const network = networkOfNode(client, { nodeName, nodeIps, owner: layout.root, settings }, life);
      network.catch(() => undefined); // the parts that wait for it say so
      const node = startNode(
        {
          kubelet: {
            nodeName,
            rootDir,
            version: kubernetesVersion,
            imagesDir: layout.images,
            preparePodNetwork: () => network,
            ...(settings.network === "none" && { managesNetwork: false }),
            ...(nodeIps && { nodeIPs: nodeIps }),
            config: configuration,
            cadvisorJsonEndpoints: values["enable-cadvisor-json-endpoints"],
            labels,
          },
          serving: (kubelet) => createServing({ kubelet, nodeName, certDir, client, clock, log }),
          network,
          settings,
          proxyMode: values["proxy-mode"],
          client,
          clock,
          log,
        },
        life,
      );
      for (const [name, running] of Object.entries(node.parts)) parts.add(name, running);
      out(`node ${nodeName} works for ${connection.server}\n`);
      void node.serves.then(() => {
        out(`node ${nodeName} is ready for pods\n`);
        process.send?.("ready");
      });
      await parts.ended(life);
      out("stopping; pods go on, `sampan down` ends them too\n");
    } catch (error) {
      if (!life.aborted) throw error;
      await parts.ended(life);
    } finally {
      stop.abort();
      await parts.settled();
      for (const end of ending) end();
    }
    return 0;
  },
});
