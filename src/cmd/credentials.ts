/**
 * How an agent comes by what it shows the API server: kept from last time, or by a token. Both end in files of the node's folder, the
 * ones that a kubelet is given too: `kubelet.conf`, and while there is no certificate yet `bootstrap.conf`.
 */
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Clock, Logger } from "#base";
import { createClient, createHttpsTransport, kubeconfigTarget, readKubeconfig } from "#client";
import { isStatusError } from "#machinery";
import { type BootstrapToken, parseToken } from "./bootstrap-token.ts";
import { CommandError } from "./command.ts";
import { checkHashes, discover, keyHash } from "./discovery.ts";
import { isUsable, writeKubeconfig } from "./kubelet-client.ts";

export interface CredentialFlags {
  readonly server: readonly string[];
  readonly token?: string | undefined;
  readonly "ca-cert-hash": readonly string[];
  readonly "unsafe-skip-ca-verification": boolean;
}

export interface Credentials {
  readonly kubeconfig: string;
  /** Only when a certificate is still to be asked for. */
  readonly bootstrapKubeconfig?: string;
  /** PEM file: who calls the node's server. */
  readonly authorityFile: string;
  readonly servers: readonly string[];
}

export interface CredentialOptions {
  readonly flags: CredentialFlags;
  /** The node's folder. */
  readonly folder: string;
  readonly nodeName: string;
  /** This machine's. */
  readonly nodeAddresses: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
}

export function credentialFiles(folder: string) {
  const at = (name: string) => path.join(folder, name);
  return {
    ...{ kubeconfig: at("kubelet.conf"), bootstrap: at("bootstrap.conf"), authority: at("pki/ca.crt") },
    ...{ settings: at("cluster.json"), servers: at("servers.json") },
  };
}

/** Waits for a server when one must be asked. Throws CommandError. */
export async function openCredentials(options: CredentialOptions, signal: AbortSignal): Promise<Credentials> {
  const { flags, folder, clock, log } = options;
  const files = credentialFiles(folder);
  const servers = flags.server.map(readServer);
  const { token, hashes } = readToken(flags);
  if (existsSync(files.authority) && (await isUsable(files.kubeconfig, clock))) {
    const known = keyHash(await readFile(files.authority, "utf8"));
    if (!token || hashes.length === 0 || hashes.includes(known)) return keptCredentials(files, servers);
    log.warn("this machine was a node of another cluster, whose authority had another key: it joins this one", {
      known,
    });
    for (const each of [files.kubeconfig, files.settings, path.dirname(files.authority)])
      await rm(each, { recursive: true, force: true });
  }
  const kept = existsSync(files.kubeconfig) ? " (the certificate in its folder is no longer in force)" : "";
  if (!token) throw new CommandError(`to join a cluster, --token is needed${kept}: \`sampan token create\` makes one`);
  if (servers.length === 0) throw new CommandError("to join a cluster, --server https://ADDRESS:6443 is needed");
  if (hashes.length === 0 && !flags["unsafe-skip-ca-verification"])
    throw new CommandError(
      "--ca-cert-hash is needed, so that no other server can pass for the cluster's: `sampan token create --print-join-command` prints it",
    );
  const { server, authority } = await discover({ ...options, servers, token, hashes }, signal);
  await mkdir(path.dirname(files.authority), { recursive: true, mode: 0o700 });
  await writeWhole(files.authority, authority);
  await refuseTaken({ ...options, server, authority, token }, signal);
  const { stringify } = await import("yaml");
  await writeWhole(files.bootstrap, stringify(bootstrapConfig(server, authority, token)));
  const all = [server, ...servers.filter((each) => each !== server)];
  await writeWhole(files.servers, JSON.stringify(all));
  return {
    ...{ kubeconfig: files.kubeconfig, bootstrapKubeconfig: files.bootstrap },
    authorityFile: files.authority,
    servers: all,
  };
}

/** What is known of the cluster stays, but where it is may have changed. */
async function keptCredentials(
  files: ReturnType<typeof credentialFiles>,
  servers: readonly string[],
): Promise<Credentials> {
  const { transport } = await kubeconfigTarget(await readKubeconfig([files.kubeconfig], { mustExist: true }));
  const [first] = servers;
  if (first !== undefined && !servers.includes(transport.server))
    await writeKubeconfig(
      files.kubeconfig,
      { ...transport, server: first },
      path.join(path.dirname(files.authority), "kubelet-client-current.pem"),
    );
  const known = servers.length > 0 ? servers : [...new Set([transport.server, ...(await readServers(files.servers))])];
  await writeWhole(files.servers, JSON.stringify(known));
  return { kubeconfig: files.kubeconfig, authorityFile: files.authority, servers: known };
}

/** As they were named last. */
async function readServers(file: string): Promise<string[]> {
  try {
    const read: unknown = JSON.parse(await readFile(file, "utf8"));
    return Array.isArray(read) ? read.filter((each) => typeof each === "string") : [];
  } catch {
    return []; // never named, or damaged: there is one in the kubeconfig
  }
}

function readServer(text: string): string {
  const url = URL.parse(text.includes("://") ? text : `https://${text}`);
  if (url?.protocol !== "https:" || url.pathname !== "/" || url.username || url.search)
    throw new CommandError(`--server ${text}: want https://ADDRESS:PORT, such as https://192.0.2.10:6443`);
  return `https://${url.hostname}:${url.port || "6443"}`;
}

/** `ID.SECRET`, or with the hash in one word `ID.SECRET@sha256:HEX`. */
function readToken({ token: text, "ca-cert-hash": given }: CredentialFlags) {
  const [plain = "", hash] = (text ?? "").split("@");
  const hashes = checkHashes([...given, ...(hash === undefined ? [] : [hash])]);
  if (text === undefined || text === "") return { token: undefined, hashes };
  const token = parseToken(plain);
  if (!token)
    throw new CommandError(
      "--token: want six and sixteen letters and digits with a dot between, as `sampan token create` prints them",
    );
  return { token, hashes };
}

/** Two machines under one name would take each other's pods. */
async function refuseTaken(
  {
    server,
    authority,
    token,
    nodeName,
    nodeAddresses,
  }: CredentialOptions & { server: string; authority: string; token: BootstrapToken },
  signal: AbortSignal,
): Promise<void> {
  const transport = createHttpsTransport({
    server,
    ca: authority,
    token: `${token.id}.${token.secret}`,
    userAgent: "sampan",
  });
  try {
    const { status } = await createClient(transport).resource("v1/nodes").get(nodeName);
    signal.throwIfAborted();
    const isAlive = status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True");
    const addresses = (status?.addresses ?? [])
      .filter(({ type }) => type === "InternalIP")
      .map(({ address }) => address);
    if (isAlive && !addresses.some((address) => nodeAddresses.includes(address)))
      throw new CommandError(
        `a node with the name ${JSON.stringify(nodeName)} and status "Ready" is in the cluster already, at ${addresses.join(", ")}: delete that node, or join under another name (--node-name)`,
      );
  } catch (error) {
    if (isStatusError(error, "NotFound") || isStatusError(error, "Forbidden")) return; // a new one; not ours to know
    if (isStatusError(error, "Unauthorized"))
      throw new CommandError(
        `${server} doesn't accept the token ${token.id}: it has expired, or may not be used for joining (--usages authentication)`,
      );
    throw explained(error, server);
  } finally {
    transport.close();
  }
}

function explained(error: unknown, server: string): unknown {
  const { code, message } = error as NodeJS.ErrnoException; // read with care
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID")
    return new CommandError(
      `the certificate of ${server} isn't for that address (${message}); start the server with --advertise-address or --tls-san of it`,
    );
  if (code === "CERT_NOT_YET_VALID" || code === "CERT_HAS_EXPIRED")
    return new CommandError(
      `the certificate of ${server} isn't in force now: is this machine's clock right? (${message})`,
    );
  return error;
}

const bootstrapConfig = (server: string, authority: string, { id, secret }: BootstrapToken) => ({
  apiVersion: "v1",
  kind: "Config",
  clusters: [
    {
      name: "default-cluster",
      cluster: { server, "certificate-authority-data": Buffer.from(authority).toString("base64") },
    },
  ],
  contexts: [{ name: "bootstrap", context: { cluster: "default-cluster", user: "bootstrap" } }],
  "current-context": "bootstrap",
  users: [{ name: "bootstrap", user: { token: `${id}.${secret}` } }],
});

async function writeWhole(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text, { mode: 0o600 });
  await rename(`${file}.new`, file);
}
