/** ResourceClaim: devices that pods ask for. Follows upstream's registry/resource/resourceclaim. */
import { ageColumn } from "../columns.ts";
import { semanticEqual } from "../equality.ts";
import { goStruct } from "../go-struct.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import { specOf } from "../spec-of.ts";
import { resetMetaForStatus, setOrDelete } from "../strategy.ts";
import type { ResourceClaim } from "../types.d.ts";
import { defaultClaimSpec, validateClaimSpec } from "./claim-spec.ts";
import { prepareSelectors } from "./requests.ts";
import { dropDeallocatedDevices, validateClaimStatus } from "./claim-status.ts";

function printState({ metadata, status }: ResourceClaim): string {
  const states: string[] = [];
  if (metadata.deletionTimestamp) states.push("deleted");
  if (status?.allocation) {
    states.push("allocated");
    if (status.reservedFor?.length) states.push("reserved");
  } else if (!metadata.deletionTimestamp) states.push("pending");
  return states.join(",");
}

export const resourceClaimKind = defineKind<ResourceClaim>({
  group: "resource.k8s.io",
  kind: "ResourceClaim",
  resource: "resourceclaims",
  storageVersion: "v1",
  resetFields: ["status"],

  defaults({ spec }) {
    defaultClaimSpec(spec);
  },
  prepareForCreate(claim) {
    claim.status = {};
  },
  prepareForUpdate(claim, old) {
    setOrDelete(claim, { status: old.status });
  },
  beforeValidate: ({ spec }, old) => (old ? undefined : prepareSelectors(spec?.devices)),
  validate(claim) {
    const at = Place.root("spec");
    validateClaimSpec(specOf(claim), at);
    return at.errors;
  },
  /** What can't change needs no second look. */
  validateUpdate({ spec }, old) {
    const at = Place.root("spec");
    if (!semanticEqual(spec, old.spec)) {
      at.invalid(goStruct("api.resource.v1.ResourceClaimSpec", spec), "field is immutable");
    }
    return at.errors;
  },

  subresources: {
    status: {
      resetFields: ["spec"],
      prepareForUpdate(claim, old) {
        claim.spec = old.spec;
        resetMetaForStatus(claim, old);
        dropDeallocatedDevices(claim, old);
      },
      validateUpdate: validateClaimStatus,
    },
  },

  columns: [
    {
      name: "State",
      type: "string",
      description: "A summary of the current state (allocated, pending, reserved, etc.).",
      of: printState,
    },
    ageColumn,
  ],
});
