/** Gets a node its certificate from the API server, and another one when 70 to 90 % of its life are over. */
import { createHash, createPublicKey, X509Certificate } from "node:crypto";
import type { CertificateSigningRequest } from "#api";
import { backoffMs, type Clock, type Logger } from "#base";
import { type Client, createInformers, delay } from "#client";
import { type DeepReadonly, isStatusError } from "#machinery";
import { type CertificateSubject, certificateRequest, createKey } from "./certificate-request.ts";
import type { CertificatePair, CertificateStore } from "./certificate-store.ts";

export interface CertificateRequestOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signerName: string;
  readonly usages: readonly string[];
  readonly subject: CertificateSubject;
  /** PEM. */
  readonly key: string;
  /** Of the request's object; one of its own when missing. */
  readonly name?: string;
  readonly waitMs: number;
}

export const clientSigner = {
  signerName: "kubernetes.io/kube-apiserver-client-kubelet",
  usages: ["digital signature", "client auth"],
} as const;
export const servingSigner = {
  signerName: "kubernetes.io/kubelet-serving",
  usages: ["digital signature", "server auth"],
} as const;

/** One that is asked for with the same key again is the same request. */
export const requestName = (key: string, { commonName, organizations = [] }: CertificateSubject): string => {
  const publicKey = createPublicKey(key).export({ type: "spki", format: "der" });
  const parts = [publicKey, commonName, ...organizations, ...clientSigner.usages];
  const hash = createHash("sha512-256");
  for (const part of parts) hash.update(`${Buffer.from(part).toString("base64url")}|`);
  return `node-csr-${hash.digest("base64url")}`;
};

/** PEM. Rejects when it is denied, fails, or isn't there in time. */
export async function requestCertificate(options: CertificateRequestOptions, signal: AbortSignal): Promise<string> {
  const { client, clock, log, signerName, usages, subject, key, name } = options;
  const requests = client.resource("certificates.k8s.io/v1/certificatesigningrequests");
  const request = Buffer.from(certificateRequest(subject, key)).toString("base64");
  const object: CertificateSigningRequest = {
    apiVersion: "certificates.k8s.io/v1",
    kind: "CertificateSigningRequest",
    metadata: name === undefined ? { generateName: "csr-" } : { name },
    spec: { request, signerName, usages: [...usages] },
  };
  const made = await requests.create(object).catch((error: unknown) => {
    // Of an earlier try, with the same key.
    if (name !== undefined && isStatusError(error, "AlreadyExists")) return requests.get(name);
    throw error;
  });
  const madeName = made.metadata.name ?? "";
  log.info("a certificate is asked for", { request: madeName, signer: signerName });
  const stop = new AbortController();
  const life = AbortSignal.any([signal, stop.signal]);
  const informers = createInformers(client, { clock, log });
  const informer = informers.of("certificates.k8s.io/v1/certificatesigningrequests", {
    fieldSelector: `metadata.name=${madeName}`,
  });
  const decided = new Promise<string>((resolve, reject) => {
    const look = ({ metadata, status }: DeepReadonly<CertificateSigningRequest>) => {
      if (metadata.uid !== made.metadata.uid) return;
      for (const { type, reason, message } of status?.conditions ?? []) {
        const said = `reason: ${reason}, message: ${message}`;
        if (type === "Denied") reject(new Error(`certificate signing request is denied, ${said}`));
        if (type === "Failed") reject(new Error(`certificate signing request failed, ${said}`));
      }
      if (status?.certificate && status.conditions?.some(({ type }) => type === "Approved"))
        resolve(Buffer.from(status.certificate, "base64").toString("utf8"));
    };
    informer.addHandler({
      added: look,
      updated: look,
      deleted: () => reject(new Error(`certificate signing request ${madeName} was deleted`)),
    });
    delay(clock, options.waitMs, life).then(() => reject(new Error("timed out waiting for the condition")), reject);
  });
  const running = informers.run(life);
  try {
    return await decided;
  } finally {
    stop.abort();
    await running;
  }
}

export interface CertificateManagerOptions {
  readonly store: CertificateStore;
  readonly signer: typeof clientSigner | typeof servingSigner;
  readonly client: Client;
  readonly clock: Clock;
  readonly log: Logger;
  /** For whom; asked each time. */
  subject(): Promise<CertificateSubject>;
  /** The one to use from now on. */
  onPair(pair: CertificatePair): void;
}

const waitMs = 15 * 60_000;
const retry = { initialMs: 2000, maxMs: 128_000 };
/** Timers can't wait for months. */
const lookMs = 24 * 3_600_000;
const [shareMin, shareMax] = [0.7, 0.9];

/** Keeps the store's certificate fresh until the signal aborts. */
export async function keepCertificate(options: CertificateManagerOptions, signal: AbortSignal): Promise<void> {
  const { store, signer, client, clock, log } = options;
  let failures = 0;
  let newAt = -Infinity;
  for (let pair = await store.current(); !signal.aborted; ) {
    try {
      const subject = await options.subject();
      if (pair && isFor(pair, subject)) await waitUntil(Math.max(rotationAt(pair), (newAt + pair.notAfter) / 2));
      if (signal.aborted) return;
      const key = createKey();
      const issued = await requestCertificate({ ...signer, client, clock, log, subject, key, waitMs }, signal);
      pair = await store.update(issued, key);
      log.info("a new certificate is used", {
        signer: signer.signerName,
        until: new Date(pair.notAfter).toISOString(),
      });
      options.onPair(pair);
      // Authorities date back: of a short life, much is over from the beginning.
      newAt = clock.now();
      failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      failures++;
      log.warn("no new certificate yet", { signer: signer.signerName, error });
      await delay(clock, backoffMs(failures, retry), signal);
    }
  }

  async function waitUntil(at: number): Promise<void> {
    while (!signal.aborted && clock.now() < at) await delay(clock, Math.min(lookMs, at - clock.now()), signal);
  }
}

/** Spread, so that nodes that came together don't come together again. */
export const rotationAt = ({ notBefore, notAfter }: CertificatePair, random = Math.random()): number =>
  notBefore + (notAfter - notBefore) * (shareMin + random * (shareMax - shareMin));

/** Does it name all that the server is called by? */
function isFor({ certificate }: CertificatePair, { dnsNames = [], ipAddresses = [] }: CertificateSubject): boolean {
  const read = new X509Certificate(certificate);
  return dnsNames.every((name) => read.checkHost(name)) && ipAddresses.every((address) => read.checkIP(address));
}
