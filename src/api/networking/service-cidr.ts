/** ServiceCIDR: addresses that services get. Follows upstream's registry/networking/servicecidr. */
import { type FieldError, fieldImmutableMessage } from "#machinery";
import { ageColumn } from "../columns.ts";
import { parseCidr } from "../ip.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import { specOf } from "../spec-of.ts";
import { resetMetaForStatus, setOrDelete } from "../strategy.ts";
import { validateCanonicalCidr } from "../strict-ip.ts";
import type { ServiceCIDR } from "../types.d.ts";

function validateRanges(range: ServiceCIDR): FieldError[] {
  const at = Place.root("spec").child("cidrs");
  const spec = specOf(range);
  const { cidrs = [] } = spec;
  if (cidrs.length === 0) at.required("at least one CIDR required");
  else if (cidrs.length > 2) at.invalid({ CIDRs: cidrs }, "may only hold up to 2 values");
  else {
    cidrs.forEach((cidr, i) => {
      validateCanonicalCidr(cidr, at.index(i));
    });
    const [first, second] = cidrs.map((cidr) => parseCidr(cidr)?.address.family);
    if (first !== undefined && first === second)
      at.invalid(cidrs, "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64");
  }
  return at.errors;
}

export const serviceCidrKind = defineKind<ServiceCIDR>({
  group: "networking.k8s.io",
  kind: "ServiceCIDR",
  resource: "servicecidrs",
  storageVersion: "v1",

  defaults(range) {
    range.spec = specOf(range);
    range.status ??= {};
  },
  validate: validateRanges,
  resetFields: ["status"],
  prepareForCreate(range) {
    range.status = {};
  },
  prepareForUpdate(range, old) {
    setOrDelete(range, { status: old.status });
  },
  validateUpdate(range, old) {
    const at = Place.root("spec").child("cidrs");
    const cidrs = range.spec?.cidrs ?? [];
    const before = old.spec?.cidrs ?? [];
    const keep = (each: string, i: number) => {
      if (cidrs[i] !== each) at.index(i).invalid(cidrs[i], fieldImmutableMessage);
    };
    // The second family may come later.
    const widened = before.length === 1 && cidrs.length === 2;
    if (widened || cidrs.length === before.length) before.forEach(keep);
    else at.invalid(cidrs, fieldImmutableMessage);
    return widened ? [...at.errors, ...validateRanges(range)] : at.errors;
  },

  subresources: {
    status: {
      resetFields: ["metadata", "spec"],
      prepareForUpdate(range, old) {
        setOrDelete(range, { spec: old.spec });
        resetMetaForStatus(range, old);
      },
    },
  },
  columns: [
    {
      name: "CIDRs",
      type: "string",
      description: { field: "V1ServiceCIDRSpec.cidrs" },
      of: ({ spec }) => (spec?.cidrs ?? []).join(","),
    },
    ageColumn,
  ],
});
