/** ResourceClaimTemplate: what the claims of pods are made from. Follows upstream's registry/resource/resourceclaimtemplate. */
import { ageColumn } from "../columns.ts";
import { semanticEqual } from "../equality.ts";
import { goStruct } from "../go-struct.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import { validateTemplateMeta } from "../pod-spec/claim-spec.ts";
import { specOf } from "../spec-of.ts";
import type { ResourceClaimTemplate } from "../types.d.ts";
import { defaultClaimSpec, validateClaimSpec } from "./claim-spec.ts";
import { prepareSelectors } from "./requests.ts";

export const resourceClaimTemplateKind = defineKind<ResourceClaimTemplate>({
  group: "resource.k8s.io",
  kind: "ResourceClaimTemplate",
  resource: "resourceclaimtemplates",
  storageVersion: "v1",

  defaults({ spec }) {
    defaultClaimSpec(spec?.spec);
  },
  beforeValidate: ({ spec }, old) => (old ? undefined : prepareSelectors(spec?.spec?.devices)),
  validate(template) {
    const spec = specOf(template);
    const at = Place.root("spec");
    validateTemplateMeta(spec.metadata ?? {}, at.child("metadata"));
    validateClaimSpec(specOf(spec), at.child("spec"));
    return at.errors;
  },
  validateUpdate({ spec }, old) {
    const at = Place.root("spec");
    if (!semanticEqual(spec, old.spec)) {
      at.invalid(goStruct("api.resource.v1.ResourceClaimTemplateSpec", spec), "field is immutable");
    }
    return at.errors;
  },

  columns: [ageColumn],
});
