/** LimitRange: least, most and usual amounts for what is created in a namespace. Follows upstream's registry/core/limitrange. */
import { randomUUID } from "node:crypto";
import { defineKind } from "../kind.ts";
import { roundResources } from "../pod-spec/default-resources.ts";
import type { LimitRange, LimitRangeItem } from "../types.d.ts";
import { validateLimitRange } from "./limit-range/validate.ts";

/** For containers: the most is the usual limit, and what is limited is requested. */
function defaultItem(item: LimitRangeItem): void {
  for (const field of ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] as const) {
    roundResources(item[field]);
  }
  if (item.type !== "Container") return;
  const limits = { ...item.max, ...item.default };
  const requests = { ...item.min, ...limits, ...item.defaultRequest };
  if (Object.keys(limits).length > 0) item.default = limits;
  if (Object.keys(requests).length > 0) item.defaultRequest = requests;
}

export const limitRangeKind = defineKind<LimitRange>({
  group: "",
  kind: "LimitRange",
  resource: "limitranges",
  storageVersion: "v1",
  allowCreateOnUpdate: true,

  defaults({ spec }) {
    spec?.limits?.forEach(defaultItem);
  },
  prepareForCreate({ metadata }) {
    metadata.name ||= randomUUID();
  },
  validate: validateLimitRange,
  validateUpdate: validateLimitRange,
});
