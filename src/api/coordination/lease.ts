/** Lease: somebody holds something until they stop saying so. Follows upstream's registry/coordination/lease. */
import { type FieldError, negativeMessage } from "#machinery";
import { ageColumn } from "../columns.ts";
import { defineKind, type Kind } from "../kind.ts";
import { Place } from "../place.ts";
import { specOf } from "../spec-of.ts";
import type { Lease } from "../types.d.ts";
import { validateElection } from "./strategy.ts";

/** Coordinated election is a beta feature that is off by default; what was stored while it was on stays. */
function dropElection({ spec }: Lease, old: Lease | undefined): void {
  if (old?.spec?.strategy !== undefined || old?.spec?.preferredHolder !== undefined) return;
  delete spec?.strategy;
  delete spec?.preferredHolder;
}

function validateLease({ spec = {} }: Lease): FieldError[] {
  const at = Place.root("spec");
  const { leaseDurationSeconds: seconds, leaseTransitions: transitions, strategy, preferredHolder } = spec;
  if (seconds !== undefined && seconds <= 0) {
    at.child("leaseDurationSeconds").invalid(seconds, "must be greater than 0");
  }
  if (transitions !== undefined && transitions < 0) at.child("leaseTransitions").invalid(transitions, negativeMessage);
  if (strategy !== undefined) validateElection(strategy, at.child("strategy"));
  if (preferredHolder && !strategy) {
    at.child("preferredHolder").forbidden("may only be specified if `strategy` is defined");
  }
  return at.errors;
}

const defineLease = (election: Pick<Kind<Lease>, "prepareForCreate" | "prepareForUpdate">) =>
  defineKind<Lease>({
    group: "coordination.k8s.io",
    kind: "Lease",
    resource: "leases",
    storageVersion: "v1",
    allowCreateOnUpdate: true,
    allowUnconditionalUpdate: false,

    defaults(lease) {
      lease.spec = specOf(lease);
    },
    ...election,
    validate: validateLease,
    validateUpdate: validateLease,

    columns: [
      {
        name: "Holder",
        type: "string",
        description: { field: "V1LeaseSpec.holderIdentity" },
        of: ({ spec }) => spec?.holderIdentity ?? "",
      },
      ageColumn,
    ],
  });

export const leaseKind = defineLease({
  prepareForCreate(lease) {
    dropElection(lease, undefined);
  },
  prepareForUpdate: dropElection,
});

/** The kinds of a server where coordinated election is on: leases keep what is said about it. */
export const coordinatedKinds = (kinds: readonly Kind[]): readonly Kind[] =>
  kinds.map((kind) => ((kind as unknown) === leaseKind ? (defineLease({}) as Kind) : kind)); // kinds of all types are in one list
