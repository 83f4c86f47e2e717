/** What is done about a request for a certificate: approved by itself, signed, refused, or removed. Upstream's pkg/controller/certificates. */
import { X509Certificate } from "node:crypto";
import type { CertificateRequest, CertificateSigningRequest } from "#api";
import { timeMs } from "#machinery";
import type { Seen } from "../lib/objects.ts";

type Csr = Seen<CertificateSigningRequest>;

export const signerNames = {
  client: "kubernetes.io/kube-apiserver-client",
  kubeletClient: "kubernetes.io/kube-apiserver-client-kubelet",
  kubeletServing: "kubernetes.io/kubelet-serving",
  legacyUnknown: "kubernetes.io/legacy-unknown",
} as const;

const hasCondition = ({ status }: Csr, ...types: string[]): boolean =>
  status?.conditions?.some(({ type }) => types.includes(type)) ?? false;
const isIssued = ({ status }: Csr): boolean => Boolean(status?.certificate);
export const isDecided = (csr: Csr): boolean => isIssued(csr) || hasCondition(csr, "Approved", "Denied");

/** Somebody said yes and nobody no, and it is still to be issued. */
export const isToSign = (csr: Csr): boolean =>
  !isIssued(csr) &&
  hasCondition(csr, "Approved") &&
  !hasCondition(csr, "Denied") &&
  !csr.status?.conditions?.some(({ type, status }) => type === "Failed" && status === "True");

const nodePrefix = "system:node:";

interface NodeShape {
  readonly usage: "client auth" | "server auth";
  readonly names: (request: CertificateRequest) => string | undefined;
}

const client: NodeShape = {
  usage: "client auth",
  names: (request) =>
    (request.dnsNames.length > 0 && "DNS subjectAltNames are not allowed") ||
    (request.emailAddresses.length > 0 && "Email subjectAltNames are not allowed") ||
    (request.ipAddresses.length > 0 && "IP subjectAltNames are not allowed") ||
    (request.uris.length > 0 && "URI subjectAltNames are not allowed") ||
    undefined,
};
const serving: NodeShape = {
  usage: "server auth",
  names: (request) =>
    (request.dnsNames.length + request.ipAddresses.length === 0 && "DNS or IP subjectAltName is required") ||
    (request.emailAddresses.length > 0 && "Email subjectAltNames are not allowed") ||
    (request.uris.length > 0 && "URI subjectAltNames are not allowed") ||
    undefined,
};

function nodeProblem(request: CertificateRequest, usages: readonly string[], shape: NodeShape): string | undefined {
  const { commonName, organizations } = request;
  if (organizations.length !== 1 || organizations[0] !== "system:nodes")
    return "subject organization is not system:nodes";
  const names = shape.names(request);
  if (names) return names;
  const wanted = ["digital signature", "key encipherment", shape.usage];
  const given = new Set(usages);
  // Keys other than RSA's can't encipher.
  const isMissing = wanted.some((usage) => !given.has(usage) && usage !== "key encipherment");
  const usageProblem =
    isMissing || usages.some((usage) => !wanted.includes(usage))
      ? `usages did not match [${wanted.join(" ")}]`
      : undefined;
  const nameProblem = commonName.startsWith(nodePrefix)
    ? undefined
    : `subject common name does not begin with ${nodePrefix}`;
  // Upstream looks at the two in this order for clients, in the other for servers.
  return shape === client ? (nameProblem ?? usageProblem) : (usageProblem ?? nameProblem);
}

function clientProblem(usages: readonly string[]): string | undefined {
  const allowed = ["client auth", "digital signature", "key encipherment"];
  const wrong = usages.find((usage) => !allowed.includes(usage));
  if (wrong !== undefined) return `invalid usage for client certificate: ${wrong}`;
  return usages.includes("client auth") ? undefined : "missing required usage for client certificate: client auth";
}

/** Why this signer never signs that; undefined: nothing speaks against it. */
export function requestProblem(
  signer: string,
  request: CertificateRequest,
  usages: readonly string[],
): string | undefined {
  if (signer === signerNames.client) return clientProblem(usages);
  if (signer === signerNames.kubeletClient) return nodeProblem(request, usages, client);
  if (signer === signerNames.kubeletServing) return nodeProblem(request, usages, serving);
  return undefined;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
/** For clocks that are behind. */
const backdateMs = 5 * minuteMs;
const shortestMs = 10 * minuteMs;
/** What lives shorter than this isn't shortened by what it was dated back. */
const shortMs = 8 * hourMs;

export interface Validity {
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Throws when the signer's own certificate has ended. */
export function validity(
  expirationSeconds: number | undefined,
  { durationMs, validUntil }: { readonly durationMs: number; readonly validUntil: number },
  now: number,
): Validity {
  const lifeMs =
    expirationSeconds === undefined ? durationMs : Math.min(Math.max(expirationSeconds * 1000, shortestMs), durationMs);
  if (now >= validUntil) {
    const end = new Date(validUntil).toISOString();
    throw new Error(`refusing to sign a certificate that expired in the past: NotAfter=${end}`);
  }
  const end = now + lifeMs - (lifeMs < shortMs ? 0 : backdateMs);
  return { notBefore: now - backdateMs, notAfter: Math.min(end, validUntil) };
}

export interface Recognized {
  readonly subresource: "selfnodeclient" | "nodeclient";
  readonly message: string;
}

/** Requests of kubelets that are approved when who asks may create such: for themselves, for any node. */
export function recognize(csr: Csr, request: CertificateRequest): Recognized[] {
  const { signerName, usages = [], username } = csr.spec;
  if (signerName !== signerNames.kubeletClient || nodeProblem(request, usages, client)) return [];
  const self: Recognized = {
    subresource: "selfnodeclient",
    message: "Auto approving self kubelet client certificate after SubjectAccessReview.",
  };
  const any: Recognized = {
    subresource: "nodeclient",
    message: "Auto approving kubelet client certificate after SubjectAccessReview.",
  };
  return request.commonName === username ? [self, any] : [any];
}

/** Undecided, and what a kubelet's server may show. */
export const recognizedServing = (csr: Csr, contentOf: (csr: Csr) => CertificateRequest): boolean =>
  csr.spec.signerName === signerNames.kubeletServing &&
  !isDecided(csr) &&
  nodeProblem(contentOf(csr), csr.spec.usages ?? [], serving) === undefined;

const decidedMs = hourMs;
const pendingMs = 24 * hourMs;

/** When it is to be removed, ms; Infinity: never as it is. */
export function removalTime(csr: Csr): number {
  const { conditions = [], certificate } = csr.status ?? {};
  const after = (time: string | undefined, ms: number) => (time ? timeMs(time) + ms : Infinity);
  const times = conditions.map(({ type, lastUpdateTime }) => {
    if (type === "Denied" || type === "Failed") return after(lastUpdateTime, decidedMs);
    if (type !== "Approved") return Infinity;
    if (!certificate) return after(lastUpdateTime, pendingMs);
    return Math.min(after(lastUpdateTime, decidedMs), endOf(certificate));
  });
  if (conditions.length === 0) times.push(after(csr.metadata.creationTimestamp, pendingMs));
  return Math.min(...times);
}

function endOf(certificate: string): number {
  try {
    return Date.parse(new X509Certificate(Buffer.from(certificate, "base64")).validTo);
  } catch {
    return Infinity; // whoever signed wrote something else; its other times hold
  }
}
