/**
 * The cluster's certificates on disk, in kubeadm's layout (`pki/ca.crt`, `pki/apiserver.crt`, …) so that other tools find them.
 * Made on the first start; leaves are renewed when they come near their end or when the server gets a new name or address: on start, and
 * while the server runs, in place: whoever uses a pair reads it each time, or asks to be told.
 */
import { createPrivateKey, generateKeyPair, X509Certificate } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { createAuthority, issueCertificate, type KeyPair, type LeafRequest } from "./certificates.ts";

export interface PkiOptions {
  readonly directory: string;
  readonly now: number;
  /** Names and addresses under which clients reach the server. */
  readonly serverNames: readonly string[];
  readonly serverAddresses: readonly string[];
}

export interface Pki {
  /** Signs everything below. */
  readonly authority: KeyPair;
  /** What the API server shows. */
  readonly server: KeyPair;
  /** With which the API server calls kubelets. */
  readonly kubeletClient: KeyPair;
  /** system:masters. */
  readonly admin: KeyPair;
  /** How the API server shows extension servers whose request it passes on: an authority for this alone, so that no client of `authority` can claim to be it. */
  readonly frontProxy: FrontProxy;
  /** Signs service-account tokens; PEM, RSA 2048 (upstream's clients and cloud trust policies expect RS256). */
  readonly serviceAccountKey: string;
  /** A certificate for a part that runs elsewhere, or a kubelet's server. Kept in `NAME.crt`/`NAME.key`. */
  leaf(name: string, request: LeafRequest): Promise<KeyPair>;
  /** Renews the leaves that come near their end. Answers whether there were any. */
  renew(now: number): Promise<boolean>;
}

export interface FrontProxy {
  /** PEM: what extension servers trust (`requestheader-client-ca-file`). */
  readonly authority: string;
  readonly client: KeyPair;
}

/** A file of the folder can't be used; the message names it and says what to do. Nothing was overwritten. */
export class PkiError extends Error {
  override name = "PkiError";
  readonly file: string;

  constructor(file: string, message: string) {
    super(message);
    this.file = file;
  }
}

const authorityDays = 3650;
const leafDays = 365;
/** Renewed when less than this is left. */
const renewDays = 30;
const dayMs = 24 * 3600 * 1000;

export async function openPki(options: PkiOptions): Promise<Pki> {
  const { directory, now } = options;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const serviceAccountKey = openServiceAccountKey(directory); // its RSA key is made on another thread meanwhile
  serviceAccountKey.catch(() => undefined); // waited for below, unless something else fails first
  const authority = (await readPair(directory, "ca", authorityMend)) ?? (await makeAuthority(directory, now));
  checkAuthority(path.join(directory, "ca.crt"), authority, now);
  const leaves = new Map<string, Leaf>();
  const issue = async (issuer: KeyPair, name: string, request: LeafRequest, at: number) =>
    writePair(directory, name, await issueCertificate(issuer, { ...request, now: at }));
  const leafOf = async (issuer: KeyPair, name: string, request: LeafRequest) => {
    const found = await readPair(directory, name, "remove it and its .key, new ones are issued at the next start");
    const isGood = found && stillGood(found, issuer, request, now);
    const pair = isGood ? found : await issue(issuer, name, request, now);
    leaves.set(name, { issuer, request, pair });
    return pair;
  };
  const renew = async (at: number) => {
    const old = [...leaves].filter(([, { pair, issuer, request }]) => !stillGood(pair, issuer, request, at));
    for (const [name, { issuer, request, pair }] of old) Object.assign(pair, await issue(issuer, name, request, at));
    return old.length > 0;
  };
  const leaf = (name: string, request: LeafRequest) => leafOf(authority, name, request);
  const openFrontProxy = async (): Promise<FrontProxy> => {
    const name = "front-proxy-ca";
    // Extension servers read it from a ConfigMap, so one that ended or is gone is simply made anew.
    const found = await readPair(directory, name, "remove it and its .key, new ones are made at the next start");
    const issuer =
      found && Date.parse(new X509Certificate(found.certificate).validTo) > now
        ? found
        : await writePair(directory, name, await createAuthority(name, { now, validDays: authorityDays }));
    const client = await leafOf(issuer, "front-proxy-client", {
      commonName: "front-proxy-client",
      usages: ["client"],
      validDays: leafDays,
    });
    return { authority: issuer.certificate, client };
  };
  const [server, kubeletClient, admin, frontProxy] = await Promise.all([
    leaf("apiserver", {
      commonName: "kube-apiserver",
      usages: ["server"],
      dnsNames: options.serverNames,
      ipAddresses: options.serverAddresses,
      validDays: leafDays,
    }),
    leaf("apiserver-kubelet-client", {
      commonName: "kube-apiserver-kubelet-client",
      organizations: ["system:masters"],
      usages: ["client"],
      validDays: leafDays,
    }),
    leaf("admin", {
      commonName: "kubernetes-admin",
      organizations: ["system:masters"],
      usages: ["client"],
      validDays: leafDays,
    }),
    openFrontProxy(),
  ]);
  return {
    authority,
    server,
    kubeletClient,
    admin,
    frontProxy,
    serviceAccountKey: await serviceAccountKey,
    leaf,
    renew,
  };
}

interface Leaf {
  readonly issuer: KeyPair;
  readonly request: LeafRequest;
  readonly pair: KeyPair;
}

/** Everybody who was let in with it would be shut out by a new one: that is for a person to decide. */
const authorityMend =
  "restore ca.crt and ca.key from a copy, or remove the whole folder: then every kubeconfig must be fetched again";

async function makeAuthority(directory: string, now: number): Promise<KeyPair> {
  const issued = path.join(directory, "apiserver.crt");
  if ((await readIfThere(issued)) !== undefined) {
    const missing = path.join(directory, "ca.crt");
    throw new PkiError(missing, `${missing} is missing, ${issued} that it issued is there: ${authorityMend}`);
  }
  return writePair(directory, "ca", await createAuthority("kubernetes", { now, validDays: authorityDays }));
}

function checkAuthority(file: string, { certificate }: KeyPair, now: number): void {
  const { validTo, ca } = new X509Certificate(certificate);
  if (!ca) throw new PkiError(file, `${file} is no certificate of an authority: ${authorityMend}`);
  if (Date.parse(validTo) < now) throw new PkiError(file, `${file} was valid until ${validTo}: ${authorityMend}`);
}

function stillGood(pair: KeyPair, authority: KeyPair, request: LeafRequest, now: number): boolean {
  const certificate = new X509Certificate(pair.certificate);
  if (Date.parse(certificate.validTo) - now < renewDays * dayMs) return false;
  if (!certificate.verify(new X509Certificate(authority.certificate).publicKey)) return false;
  return (
    (request.dnsNames ?? []).every((name) => certificate.checkHost(name) !== undefined) &&
    (request.ipAddresses ?? []).every((address) => certificate.checkIP(address) !== undefined)
  );
}

async function openServiceAccountKey(directory: string): Promise<string> {
  const file = path.join(directory, "sa.key");
  const found = await readIfThere(file);
  if (found !== undefined) {
    checkReadable(
      file,
      () => createPrivateKey(found),
      "restore it from a copy, or remove it: then tokens of service accounts are issued anew",
    );
    return found;
  }
  const { privateKey, publicKey } = await promisify(generateKeyPair)("rsa", {
    modulusLength: 2048,
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  await writeWhole(path.join(directory, "sa.pub"), publicKey, 0o644);
  await writeWhole(file, privateKey, 0o600);
  return privateKey;
}

/** Undefined when the certificate was never made. `mend`: what to do about a file that can't be used. */
async function readPair(directory: string, name: string, mend: string): Promise<KeyPair | undefined> {
  const files = { certificate: path.join(directory, `${name}.crt`), key: path.join(directory, `${name}.key`) };
  const certificate = await readIfThere(files.certificate);
  const key = await readIfThere(files.key);
  // The key is written first: a start that was cut short leaves it alone, and nobody knows it yet.
  if (certificate === undefined) return undefined;
  if (key === undefined)
    throw new PkiError(files.key, `${files.key} is missing, its certificate ${files.certificate} is there: ${mend}`);
  const parsed = checkReadable(files.certificate, () => new X509Certificate(certificate), mend);
  const privateKey = checkReadable(files.key, () => createPrivateKey(key), mend);
  if (!parsed.checkPrivateKey(privateKey))
    throw new PkiError(files.key, `${files.key} does not belong to ${files.certificate}: ${mend}`);
  return { certificate, key };
}

/** `parse` throws errors of OpenSSL only, which say where in its code and not in which file. */
function checkReadable<T>(file: string, parse: () => T, mend: string): T {
  try {
    return parse();
  } catch (error) {
    throw new PkiError(file, `${file} is damaged (${(error as Error).message}): ${mend}`); // thrown by node:crypto
  }
}

async function writePair(directory: string, name: string, pair: KeyPair): Promise<KeyPair> {
  await writeWhole(path.join(directory, `${name}.key`), pair.key, 0o600);
  await writeWhole(path.join(directory, `${name}.crt`), pair.certificate, 0o644);
  return pair;
}

/** Never leaves half a file behind. */
async function writeWhole(file: string, text: string, mode: number): Promise<void> {
  await writeFile(`${file}.new`, text, { mode, flush: true });
  await rename(`${file}.new`, file);
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined; // thrown by fs: always an errno error
    throw error;
  }
}
