/** LeaseCandidate: somebody who would hold a lease. Follows upstream's registry/coordination/leasecandidate. */
import { type FieldError, isConfigMapKey, validateImmutable } from "#machinery";
import { ageColumn } from "../columns.ts";
import { type Column, defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import type { LeaseCandidate, LeaseCandidateSpec } from "../types.d.ts";
import { compareVersions, isZero, readVersion } from "./semantic-version.ts";
import { oldestEmulationVersion, validateElection } from "./strategy.ts";

function validateCandidate({ spec }: LeaseCandidate): Place {
  const at = Place.root("spec");
  const { leaseName = "", strategy = "" } = spec;
  if (leaseName === "") at.child("leaseName").required();
  validateVersions(spec, at);
  if (strategy === "") at.child("strategy").required();
  else validateElection(strategy, at.child("strategy"));
  return at;
}

function validateVersions(
  { binaryVersion = "", emulationVersion = "", strategy }: LeaseCandidateSpec,
  at: Place,
): void {
  const binaryAt = at.child("binaryVersion");
  const emulationAt = at.child("emulationVersion");
  const malformed = "must be a valid semantic version";
  const emulation = readVersion(emulationVersion);
  const binary = readVersion(binaryVersion);
  if (emulationVersion !== "" && !emulation) emulationAt.invalid(emulationVersion, malformed);
  if (binaryVersion !== "" && !binary) binaryAt.invalid(binaryVersion, malformed);
  if (binary && emulation && compareVersions(binary, emulation) < 0) {
    binaryAt.invalid(binaryVersion, "must be greater than or equal to `emulationVersion`");
  }
  if (strategy !== oldestEmulationVersion) return;
  const why = `must be specified when \`strategy\` is '${oldestEmulationVersion}'`;
  if (!binary || isZero(binary)) binaryAt.required(why);
  if (!emulation || isZero(emulation)) emulationAt.required(why);
}

const column = (
  name: string,
  description: string,
  field: "leaseName" | "binaryVersion" | "emulationVersion",
): Column<LeaseCandidate> => ({ name, type: "string", description, of: ({ spec }) => spec[field] ?? "" });

export const leaseCandidateKind = defineKind<LeaseCandidate>({
  group: "coordination.k8s.io",
  kind: "LeaseCandidate",
  resource: "leasecandidates",
  storageVersion: "v1beta1",
  allowCreateOnUpdate: true,
  allowUnconditionalUpdate: false,
  validateName: (name) => [...isConfigMapKey(name)],

  defaults(candidate) {
    candidate.spec ??= { leaseName: "", binaryVersion: "", strategy: "" };
  },
  validate: (candidate) => validateCandidate(candidate).errors,
  validateUpdate(candidate, old): FieldError[] {
    const at = validateCandidate(candidate);
    at.add(validateImmutable(candidate.spec.leaseName, old.spec.leaseName, at.child("leaseName").path));
    return at.errors;
  },

  columns: [
    column(
      "LeaseName",
      "LeaseName is the name of the lease for which this candidate is contending. The limits on this field are the same as on Lease.name. Multiple lease candidates may reference the same Lease.name. This field is immutable.",
      "leaseName",
    ),
    column(
      "BinaryVersion",
      "BinaryVersion is the binary version. It must be in a semver format without leading `v`. This field is required.",
      "binaryVersion",
    ),
    column(
      "EmulationVersion",
      'EmulationVersion is the emulation version. It must be in a semver format without leading `v`. EmulationVersion must be less than or equal to BinaryVersion. This field is required when strategy is "OldestEmulationVersion"',
      "emulationVersion",
    ),
    ageColumn,
  ],
});
