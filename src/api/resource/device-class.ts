/** DeviceClass: a kind of device, by what selects it. Follows upstream's registry/resource/deviceclass. */
import type { FieldError } from "#machinery";
import { loadCel } from "../cel-engine.ts";
import { ageColumn } from "../columns.ts";
import { semanticEqual } from "../equality.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import { isExtendedResource } from "../resource-names.ts";
import { specOf } from "../spec-of.ts";
import { bumpGeneration, firstGeneration } from "../strategy.ts";
import type { DeviceClass } from "../types.d.ts";
import { configurationsMax, validateConfiguration } from "./configuration.ts";
import { validateList } from "./lists.ts";
import { validateSelectors } from "./requests.ts";

function validateClass(deviceClass: DeviceClass, old?: DeviceClass): FieldError[] {
  const { selectors, config, extendedResourceName } = specOf(deviceClass);
  const at = Place.root("spec");
  const isStored = old !== undefined && semanticEqual(selectors, specOf(old).selectors);
  validateSelectors(selectors, at.child("selectors"), { stored: isStored });
  const stored = old !== undefined && semanticEqual(config, specOf(old).config);
  validateList(config, at.child("config"), {
    countMax: configurationsMax,
    check(each, place) {
      validateConfiguration(each, place, { stored });
    },
  });
  if (extendedResourceName !== undefined && !isExtendedResource(extendedResourceName)) {
    at.child("extendedResourceName").invalid(extendedResourceName, "must be a valid extended resource name");
  }
  return at.errors;
}

export const deviceClassKind = defineKind<DeviceClass>({
  group: "resource.k8s.io",
  kind: "DeviceClass",
  resource: "deviceclasses",
  storageVersion: "v1",

  prepareForCreate: firstGeneration,
  prepareForUpdate: bumpGeneration,
  beforeValidate: ({ spec }) => (spec?.selectors?.length ? loadCel() : undefined),
  validate: (deviceClass) => validateClass(deviceClass),
  validateUpdate: validateClass,

  columns: [ageColumn],
});
