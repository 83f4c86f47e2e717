/** Certificate signing requests by themselves: upstream's validateCertificateSigningRequest, in its order. */
import { X509Certificate } from "node:crypto";
import type { FieldError } from "#machinery";
import { Place } from "../place.ts";
import { validateSignerName } from "../signers.ts";
import type { CertificateSigningRequest, CertificateSigningRequestCondition } from "../types.d.ts";
import { readPem } from "./pem.ts";
import { CertificateRequestError, readCertificateRequest } from "./request.ts";

export const legacySigner = "kubernetes.io/legacy-unknown";

/** Sorted, as upstream lists them. */
const knownUsages = [
  "any",
  "cert sign",
  "client auth",
  "code signing",
  "content commitment",
  "crl sign",
  "data encipherment",
  "decipher only",
  "digital signature",
  "email protection",
  "encipher only",
  "ipsec end system",
  "ipsec tunnel",
  "ipsec user",
  "key agreement",
  "key encipherment",
  "microsoft sgc",
  "netscape sgc",
  "ocsp signing",
  "s/mime",
  "server auth",
  "signing",
  "timestamping",
];
const expirationSecondsMin = 600;

/** Faults that the stored request already has: those may stay. */
export interface RequestTolerance {
  readonly bothDecisions: boolean;
  readonly legacySigner: boolean;
  readonly repeatedConditions: boolean;
  readonly unnamedConditions: boolean;
  readonly anyCertificate: boolean;
  readonly unknownUsages: boolean;
  readonly repeatedUsages: boolean;
}

const noTolerance: RequestTolerance = {
  bothDecisions: false,
  legacySigner: false,
  repeatedConditions: false,
  unnamedConditions: false,
  anyCertificate: false,
  unknownUsages: false,
  repeatedUsages: false,
};

const conditionsOf = ({ status }: CertificateSigningRequest) => status?.conditions ?? [];
const hasRepeats = (values: readonly string[]): boolean => new Set(values).size < values.length;

export function toleranceOf(request: CertificateSigningRequest, old: CertificateSigningRequest): RequestTolerance {
  const types = conditionsOf(old).map(({ type }) => type);
  const { usages = [], signerName } = old.spec;
  const certificate = old.status?.certificate ?? "";
  return {
    bothDecisions: types.includes("Approved") && types.includes("Denied"),
    legacySigner: signerName === legacySigner,
    repeatedConditions: hasRepeats(types),
    unnamedConditions: types.includes(""),
    anyCertificate: (request.status?.certificate ?? "") === certificate || whyNoCertificate(certificate) !== undefined,
    unknownUsages: usages.some((usage) => !knownUsages.includes(usage)),
    repeatedUsages: hasRepeats(usages),
  };
}

export function validateSigningRequest(
  request: CertificateSigningRequest,
  tolerate: RequestTolerance = noTolerance,
): FieldError[] {
  const at = Place.root("spec");
  const { spec, status } = request;
  const why = whyNoRequest(spec.request ?? "");
  if (why !== undefined) at.child("request").invalid(spec.request ?? null, why);
  validateUsages(spec.usages ?? [], at.child("usages"), tolerate);
  if (spec.signerName === legacySigner && !tolerate.legacySigner) {
    at.child("signerName").invalid(spec.signerName, "the legacy signerName is not allowed via this API version");
  } else if (spec.signerName) validateSignerName(spec.signerName, at.child("signerName"));
  else at.child("signerName").required();
  const seconds = spec.expirationSeconds;
  if (seconds !== undefined && seconds < expirationSecondsMin) {
    const tooShort = `may not specify a duration less than ${expirationSecondsMin} seconds (10 minutes)`;
    at.child("expirationSeconds").invalid(seconds, tooShort);
  }
  const statusAt = Place.root("status", at.errors);
  validateConditions(conditionsOf(request), statusAt.child("conditions"), tolerate);
  const fault = tolerate.anyCertificate ? undefined : whyNoCertificate(status?.certificate ?? "");
  if (fault !== undefined) statusAt.child("certificate").invalid("<certificate data>", fault);
  return at.errors;
}

function whyNoRequest(encoded: string): string | undefined {
  try {
    readCertificateRequest(Buffer.from(encoded, "base64").toString("latin1"));
    return undefined;
  } catch (error) {
    if (error instanceof CertificateRequestError) return error.message;
    throw error;
  }
}

function validateUsages(usages: readonly string[], at: Place, tolerate: RequestTolerance): void {
  if (usages.length === 0) at.required();
  usages.forEach((usage, i) => {
    if (!tolerate.unknownUsages && !knownUsages.includes(usage)) at.index(i).notSupported(usage, knownUsages);
  });
  usages.forEach((usage, i) => {
    if (!tolerate.repeatedUsages && usages.indexOf(usage) < i) at.index(i).duplicate(usage);
  });
}

/** They are there or not; there is no "not approved". */
const decidedTypes = ["Approved", "Denied", "Failed"];

function validateConditions(
  conditions: readonly CertificateSigningRequestCondition[],
  at: Place,
  tolerate: RequestTolerance,
): void {
  const seen = new Set<string>();
  conditions.forEach(({ type = "", status = "" }, i) => {
    const typeAt = at.index(i).child("type");
    const statusAt = at.index(i).child("status");
    if (type === "" && !tolerate.unnamedConditions) typeAt.required();
    const statuses = decidedTypes.includes(type) ? ["True"] : ["False", "True", "Unknown"];
    if (status === "") statusAt.required();
    else if (!statuses.includes(status)) statusAt.notSupported(status, statuses);
    const opposite = type === "Approved" ? "Denied" : type === "Denied" ? "Approved" : undefined;
    if (opposite !== undefined && seen.has(opposite) && !tolerate.bothDecisions) {
      at.invalid(type, "Approved and Denied conditions are mutually exclusive");
    }
    if (seen.has(type) && !tolerate.repeatedConditions) typeAt.duplicate(type);
    seen.add(type);
  });
}

/** Nothing is fine: it hasn't been issued. */
function whyNoCertificate(encoded: string): string | undefined {
  if (encoded === "") return undefined;
  const blocks = readPem(Buffer.from(encoded, "base64").toString("latin1"));
  for (const { type, hasHeaders, bytes } of blocks) {
    if (type !== "CERTIFICATE") {
      return `only CERTIFICATE PEM blocks are allowed, found ${JSON.stringify(type)}`;
    }
    if (hasHeaders) return "no PEM block headers are permitted";
    if (bytes.length === 0) return "found CERTIFICATE PEM block containing 0 certificates";
    if (!isCertificate(bytes)) return "x509: malformed certificate";
  }
  return blocks.length === 0 ? "must contain at least one CERTIFICATE PEM block" : undefined;
}

function isCertificate(bytes: Buffer): boolean {
  try {
    return new X509Certificate(bytes).raw.length > 0;
  } catch {
    // OpenSSL says what it stumbled over; upstream has words of its own.
    return false;
  }
}
