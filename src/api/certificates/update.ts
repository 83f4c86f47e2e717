/** Updates of signing requests: who approves can't issue, who issues can't approve, and what is decided stays. */
import { type FieldError, formatTime, goQuote } from "#machinery";
import { printDifference, semanticEqual } from "../equality.ts";
import { Place } from "../place.ts";
import type { CertificateSigningRequest, CertificateSigningRequestCondition } from "../types.d.ts";
import { toleranceOf, validateSigningRequest } from "./validate.ts";

export interface RequestChange {
  readonly approve?: boolean;
  readonly issue?: boolean;
}

type Conditions = readonly CertificateSigningRequestCondition[];

const ofType = ({ status }: CertificateSigningRequest, wanted: string): Conditions =>
  (status?.conditions ?? []).filter(({ type }) => type === wanted);

export function validateRequestUpdate(
  request: CertificateSigningRequest,
  old: CertificateSigningRequest,
  { approve = false, issue = false }: RequestChange,
): FieldError[] {
  const errors = validateSigningRequest(request, toleranceOf(request, old));
  const status = Place.root("status", errors);
  const at = status.child("conditions");
  for (const type of ["Approved", "Denied", "Failed"]) {
    if (ofType(request, type).length >= ofType(old, type).length) continue;
    at.forbidden(`updates may not remove a condition of type ${goQuote(type)}`);
  }
  if (!approve) for (const type of ["Approved", "Denied"]) validateSameDecision(request, old, { type, at });
  const certificate = request.status?.certificate ?? "";
  const before = old.status?.certificate ?? "";
  if (certificate === before) return errors;
  if (!issue) status.child("certificate").forbidden("updates may not set certificate content");
  else if (before !== "") status.child("certificate").forbidden("updates may not modify existing certificate content");
  return errors;
}

function validateSameDecision(
  request: CertificateSigningRequest,
  old: CertificateSigningRequest,
  { type, at }: { type: string; at: Place },
): void {
  const now = ofType(request, type);
  const before = ofType(old, type);
  if (now.length > before.length) at.forbidden(`updates may not add a condition of type ${goQuote(type)}`);
  // Fewer have been refused before.
  else if (now.length === before.length && !semanticEqual(now, before)) {
    const difference = printDifference(before, now);
    at.forbidden(`updates may not modify a condition of type ${goQuote(type)}\n${difference}`);
  }
}

/** Who issues may send conditions back without their times: the decisions stay as they are. */
export function keepDecisions(request: CertificateSigningRequest, old: CertificateSigningRequest): void {
  const conditions = request.status?.conditions;
  if (!conditions) return;
  for (const type of ["Approved", "Denied"]) {
    const before = ofType(old, type);
    if (before.length !== ofType(request, type).length) continue;
    let next = 0;
    conditions.forEach((condition, i) => {
      if (condition.type === type) conditions[i] = before[next++] ?? condition;
    });
  }
}

export function stampConditions(request: CertificateSigningRequest, old: CertificateSigningRequest, now: number): void {
  const time = formatTime(now);
  for (const condition of request.status?.conditions ?? []) {
    if (!condition.lastUpdateTime) condition.lastUpdateTime = time;
    if (condition.lastTransitionTime) continue;
    const same = ofType(old, condition.type).find(
      ({ status, lastTransitionTime }) => status === condition.status && lastTransitionTime,
    );
    condition.lastTransitionTime = same?.lastTransitionTime ?? time;
  }
}
