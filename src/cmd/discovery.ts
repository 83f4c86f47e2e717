/**
 * How a machine that knows a token, and the hash of an authority's key, finds whom to trust: it reads `kube-public/cluster-info` from a
 * server that it doesn't trust yet, and believes it when the token signed it and its authority is the one that was named. As kubeadm's
 * discovery by token; the hash guards against others who know the token, the signature against those who don't.
 */
import { createHash, createHmac, timingSafeEqual, X509Certificate } from "node:crypto";
import type { ConfigMap } from "#api";
import type { Clock, Logger } from "#base";
import { createHttpsTransport, delay } from "#client";
import { isStatusError } from "#machinery";
import type { BootstrapToken } from "./bootstrap-token.ts";
import { CommandError } from "./command.ts";

/** kubeadm's form of an authority's key. */
export function keyHash(certificate: string | X509Certificate): string {
  const read = typeof certificate === "string" ? new X509Certificate(certificate) : certificate;
  const key = read.publicKey.export({ type: "spki", format: "der" });
  return `sha256:${createHash("sha256").update(key).digest("hex")}`;
}

const hashPattern = /^sha256:[0-9a-f]{64}$/i;

/** Throws CommandError. */
export function checkHashes(hashes: readonly string[]): readonly string[] {
  const wrong = hashes.find((hash) => !hashPattern.test(hash));
  if (wrong !== undefined)
    throw new CommandError(
      `--ca-cert-hash ${wrong}: want sha256: and 64 hexadecimal digits, as \`sampan token create --print-join-command\` prints`,
    );
  return hashes.map((hash) => hash.toLowerCase());
}

export interface Discovered {
  /** The server that answered. */
  readonly server: string;
  /** PEM: what may be trusted. */
  readonly authority: string;
}

export interface DiscoveryOptions {
  /** `https://IP:6443`; tried in turn. */
  readonly servers: readonly string[];
  readonly token: BootstrapToken;
  /** Empty: whoever has the token is believed. */
  readonly hashes: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
}

const retryMs = 2000;
/** A token that was just made is signed with in a moment. */
const unsignedTriesMax = 5;
const answerBytesMax = 1024 * 1024;

/** Waits for a server that can't be reached; throws CommandError about one that can't be believed. */
export async function discover(options: DiscoveryOptions, signal: AbortSignal): Promise<Discovered> {
  const { servers, clock, log } = options;
  let said = "";
  let unsigned = 0;
  for (;;) {
    for (const server of servers) {
      try {
        const info = await fetchInfo(server, signal);
        return { server, authority: believed(info, options) };
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof UnsignedError && ++unsigned < unsignedTriesMax) continue;
        if (error instanceof CommandError) throw new CommandError(`${server}: ${error.message}`);
        if (isStatusError(error, "Unauthorized") || isStatusError(error, "Forbidden"))
          throw new CommandError(
            `${server} shows nobody where the cluster is (${error.message}): does it run with --anonymous-auth=false?`,
          );
        const text = `${server}: ${(error as Error).message}`; // Errors only are thrown
        if (text !== said) log.warn("the cluster can't be asked yet; trying on", { server, error });
        said = text;
      }
    }
    await delay(clock, unsigned > 0 ? retryMs / unsignedTriesMax : retryMs, signal);
    signal.throwIfAborted();
  }
}

class UnsignedError extends CommandError {}

async function fetchInfo(server: string, signal: AbortSignal): Promise<Readonly<Record<string, string>>> {
  // Nothing is sent but the question, and the answer is checked.
  const transport = createHttpsTransport({ server, insecure: true, answerBytesMax, userAgent: "sampan" });
  try {
    const path = "/api/v1/namespaces/kube-public/configmaps/cluster-info";
    const found = (await transport.request({ method: "GET", path, signal })) as ConfigMap; // what that path answers
    return found.data ?? {};
  } finally {
    transport.close();
  }
}

/** The authority of a `cluster-info`. Throws CommandError. Exported for tests. */
export function believed(
  data: Readonly<Record<string, string>>,
  { token, hashes }: Pick<DiscoveryOptions, "token" | "hashes">,
): string {
  const { kubeconfig } = data;
  if (!kubeconfig) throw new CommandError("its kube-public/cluster-info has no kubeconfig");
  const signature = data[`jws-kubeconfig-${token.id}`];
  if (!signature)
    throw new UnsignedError(
      `token id ${JSON.stringify(token.id)} is invalid for this cluster or it has expired; \`sampan token create\` on the server makes a new one`,
    );
  if (!isSigned(signature, kubeconfig, token.secret))
    throw new CommandError(
      "its cluster-info isn't signed with this token: the token's secret is wrong, or this is not the cluster that it was made for",
    );
  const [, encoded] = /certificate-authority-data: (\S+)/.exec(kubeconfig) ?? [];
  const pem = Buffer.from(encoded ?? "", "base64").toString();
  const certificates = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (certificates.length === 0) throw new CommandError("its cluster-info names no authority");
  const trusted = hashes.length === 0 ? certificates : certificates.filter((each) => hashes.includes(keyHash(each)));
  if (trusted.length === 0)
    throw new CommandError(
      `the cluster's authority has the hash ${certificates.map((each) => keyHash(each)).join(", ")}, not ${hashes.join(", ")} (--ca-cert-hash): this is not the cluster that was meant`,
    );
  return `${trusted.join("\n")}\n`;
}

/** A JSON web signature (HS256) without its content. */
function isSigned(signature: string, content: string, secret: string): boolean {
  const [header = "", empty, given = ""] = signature.split(".");
  if (empty !== "" || !isHs256(header)) return false;
  const wanted = createHmac("sha256", secret)
    .update(`${header}.${Buffer.from(content).toString("base64url")}`)
    .digest();
  const found = Buffer.from(given, "base64url");
  return found.length === wanted.length && timingSafeEqual(found, wanted);
}

function isHs256(header: string): boolean {
  try {
    const read: unknown = JSON.parse(Buffer.from(header, "base64url").toString());
    return (read as { alg?: unknown } | null)?.alg === "HS256";
  } catch {
    return false; // no JSON: no signature
  }
}
