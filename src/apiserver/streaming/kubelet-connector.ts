/**
 * How the API server reaches the kubelet of a node: the address and port that the node reports, the cluster's authority to check whom it
 * has found, and its own client certificate.
 */
import { Agent, request as httpsRequest } from "node:https";
import type { IncomingMessage } from "node:http";
import type { OutgoingHttpHeaders } from "node:http";
import { isIP } from "node:net";
import type { SecureContextOptions } from "node:tls";
import type { Node } from "#api";
import { requestUpgrade, type UpgradeAnswer } from "#base";
import type { DeepReadonly } from "#machinery";
import { plainError } from "../registry/errors.ts";
import { printDialError } from "./dial-error.ts";

export interface KubeletConnectorOptions {
  /** PEM; what kubelets know the API server by. */
  readonly certificate: string;
  readonly key: string;
  /** PEM; signs the kubelets' certificates. */
  readonly authority: string;
  /** In this order; upstream's --kubelet-preferred-address-types. */
  readonly preferredAddressTypes?: readonly string[];
}

export interface KubeletRequest {
  readonly url: URL;
  readonly headers?: OutgoingHttpHeaders;
  /** Any certificate will do; the client asked for it. */
  readonly insecure?: boolean;
  readonly signal: AbortSignal;
}

export interface KubeletConnector {
  /** Throws a StatusError when the node has no address. */
  locate(node: DeepReadonly<Node>): URL;
  /** Rejects with the error of the socket. */
  get(request: KubeletRequest): Promise<IncomingMessage>;
  /** Asks for another protocol. Rejects with a StatusError (`error dialing backend: …`). */
  upgrade(request: KubeletRequest & { method: string; headers: OutgoingHttpHeaders }): Promise<UpgradeAnswer>;
  /** For requests that others make: how to speak TLS with a kubelet. */
  readonly agent: Agent;
  /** With which kubelets are called from now on. */
  setCertificate(pair: { readonly certificate: string; readonly key: string }): void;
  close(): void;
}

/** kubeadm's order. */
const addressTypes = ["InternalIP", "ExternalIP", "Hostname", "InternalDNS", "ExternalDNS"];
/** Upstream's port of the kubelet, for nodes that report none. */
const kubeletPort = 10250;
/** To connect and for the head of an answer. */
const upgradeTimeoutMs = 30_000;
/** Idle connections to kubelets that are kept; one is enough for the next reader of logs. */
const idleSocketsMax = 8;
const idleMs = 60_000;

export function createKubeletConnector(options: KubeletConnectorOptions): KubeletConnector {
  const { certificate: cert, key, authority: ca, preferredAddressTypes = addressTypes } = options;
  const tls: SecureContextOptions = { cert, key, ca };
  const insecureTls = { cert, key, rejectUnauthorized: false };
  const pool = { keepAlive: true, maxFreeSockets: idleSocketsMax, timeout: idleMs };
  const agent = new Agent({ ...pool, ...tls });
  const insecureAgent = new Agent({ ...pool, ...insecureTls });
  return {
    agent,
    locate: (node) => locateKubelet(node, preferredAddressTypes),
    get({ url, headers = {}, insecure = false, signal }) {
      return new Promise((resolve, reject) => {
        const request = httpsRequest(url, { agent: insecure ? insecureAgent : agent, headers, signal });
        // Idle connections are given up after a while; a silent log is no idle connection.
        request.setTimeout(0);
        request.once("response", resolve);
        request.once("error", reject);
        request.end();
      });
    },
    async upgrade({ url, method, headers, insecure = false, signal }) {
      try {
        const request = { url, method, headers, tls: insecure ? insecureTls : tls, signal };
        return await requestUpgrade({ ...request, timeoutMs: upgradeTimeoutMs });
      } catch (error) {
        throw plainError(`error dialing backend: ${printDialError(error, url.host)}`);
      }
    },
    setCertificate({ certificate, key: next }) {
      const pair = { cert: certificate, key: next };
      for (const each of [tls, insecureTls, agent.options, insecureAgent.options]) Object.assign(each, pair);
    },
    close() {
      agent.destroy();
      insecureAgent.destroy();
    },
  };
}

export function locateKubelet({ status }: DeepReadonly<Node>, preferred: readonly string[] = addressTypes): URL {
  const addresses = status?.addresses ?? [];
  const address = preferred
    .map((wanted) => addresses.find(({ type }) => type === wanted)?.address)
    .find((found) => found !== undefined);
  if (address === undefined) {
    const known = addresses.map(({ type, address: text }) => `{${type} ${text}}`).join(" ");
    throw plainError(`no preferred addresses found; known addresses: [${known}]`);
  }
  const port = status?.daemonEndpoints?.kubeletEndpoint?.Port || kubeletPort;
  return new URL(`https://${isIP(address) === 6 ? `[${address}]` : address}:${port}`);
}
