/** What a kubelet's HTTPS server shows when it runs alone: files, a certificate that the API server issues, or one that the node signs itself. */
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Clock, Logger } from "#base";
import type { Client } from "#client";
import { type Kubelet, type KubeletServer, type KubeletTls, loadNodeCertificates } from "#kubelet";

export interface ServingOptions {
  readonly kubelet: Kubelet;
  readonly nodeName: string;
  readonly certDir: string;
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Serving {
  /** When there is a certificate. */
  readonly tls: () => Promise<KubeletTls>;
  /** To be told of the next ones. */
  readonly serving: (server: KubeletServer) => void;
  run(signal: AbortSignal): Promise<void>;
}

const selfSignedMs = 365 * 24 * 3_600_000;

export function createServing({ kubelet, nodeName, certDir, client, clock, log }: ServingOptions): Serving {
  const { config } = kubelet;
  const { tlsCertFile, tlsPrivateKeyFile, serverTLSBootstrap } = config;
  const { clientCAFile } = config.authentication.x509;
  const issued = Promise.withResolvers<{ certificate: string; key: string }>();
  issued.promise.catch(() => undefined);
  let server: KubeletServer | undefined;

  async function pairNow(): Promise<{ certificate: string; key: string }> {
    if (tlsCertFile && tlsPrivateKeyFile) return readFiles(tlsCertFile, tlsPrivateKeyFile);
    if (serverTLSBootstrap) return issued.promise;
    const [certFile, keyFile] = [path.join(certDir, "kubelet.crt"), path.join(certDir, "kubelet.key")];
    if (!existsSync(certFile) || !existsSync(keyFile)) {
      const { createKey, selfSigned } = await loadNodeCertificates();
      const key = createKey();
      const subject = { commonName: `${nodeName}@${Math.floor(clock.now() / 1000)}`, dnsNames: [nodeName] };
      await mkdir(certDir, { recursive: true, mode: 0o700 });
      await writeFile(keyFile, key, { mode: 0o600 });
      await writeFile(certFile, selfSigned(subject, key, { now: clock.now() - 3_600_000, validMs: selfSignedMs }));
    }
    return readFiles(certFile, keyFile);
  }

  const tlsOf = async (pair: { certificate: string; key: string }): Promise<KubeletTls> => ({
    ...pair,
    ...(clientCAFile ? { clientCa: await readFile(clientCAFile, "utf8") } : {}),
  });

  return {
    tls: async () => tlsOf(await pairNow()),
    serving(running) {
      server = running;
    },
    async run(signal) {
      if (!serverTLSBootstrap || (tlsCertFile && tlsPrivateKeyFile)) return;
      const { certificateStore, keepCertificate, servingSigner } = await loadNodeCertificates();
      const store = certificateStore(certDir, "kubelet-server");
      const known = await store.current();
      if (known && known.notAfter > clock.now()) issued.resolve(known);
      const onPair = (pair: { certificate: string; key: string }) => {
        issued.resolve(pair);
        void tlsOf(pair)
          .then((tls) => server?.setTls(tls))
          .catch((error: unknown) => log.error("a new certificate can't be used", { error }));
      };
      const aborted = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
      // The node tells its addresses first.
      await Promise.race([kubelet.ready(), aborted]);
      await keepCertificate({ store, signer: servingSigner, client, clock, log, subject: subjectNow, onPair }, signal);
    },
  };

  /** Called by all names and addresses that the node tells of. */
  async function subjectNow() {
    const { status } = await client.resource("v1/nodes").get(nodeName);
    const of = (types: readonly string[]) =>
      (status?.addresses ?? []).filter(({ type }) => types.includes(type)).map(({ address }) => address);
    const ipAddresses = of(["InternalIP", "ExternalIP"]).sort();
    if (ipAddresses.length === 0) throw new Error("the node has no address to ask a certificate for");
    return {
      commonName: `system:node:${nodeName}`,
      organizations: ["system:nodes"],
      dnsNames: of(["Hostname", "InternalDNS", "ExternalDNS"]).sort(),
      ipAddresses,
    };
  }
}

const readFiles = async (certificate: string, key: string) => ({
  certificate: await readFile(certificate, "utf8"),
  key: await readFile(key, "utf8"),
});
