/** Requests for devices: of one kind exactly, or of the first kind that is available. */
import { isDns1123Subdomain, longerThan } from "#machinery";
import { loadCel } from "../cel-engine.ts";
import type { Place } from "../place.ts";
import type { DeviceClaim, DeviceRequest, DeviceSelector, DeviceSubRequest, ExactDeviceRequest } from "../types.d.ts";
import { validateDeviceExpression } from "./device-expressions.ts";
import { validateList, validateSet } from "./lists.ts";
import { validateLabelName } from "./names.ts";
import { validateToleration } from "./taints.ts";

const alternativesMax = 8;
const selectorsMax = 32;
const expressionBytesMax = 10 * 1024;

export function defaultRequest({ exactly, firstAvailable }: DeviceRequest): void {
  if (exactly) defaultDevices(exactly);
  firstAvailable?.forEach(defaultDevices);
}

function defaultDevices(request: ExactDeviceRequest | DeviceSubRequest): void {
  request.allocationMode ||= "ExactCount";
  if (request.allocationMode === "ExactCount") request.count ||= 1;
  for (const toleration of request.tolerations ?? []) toleration.operator ||= "Equal";
}

export function validateRequest({ name, exactly, firstAvailable }: DeviceRequest, at: Place): void {
  validateLabelName(name, at.child("name"));
  const rule = "exactly one of `exactly` or `firstAvailable` is required";
  const hasAlternatives = (firstAvailable?.length ?? 0) > 0;
  if (exactly && hasAlternatives) at.invalid(null, `${rule}, but multiple fields are set`);
  else if (exactly) validateDevices(exactly, at.child("exactly"));
  else if (!hasAlternatives) at.required(rule);
  else {
    validateSet(firstAvailable, at.child("firstAvailable"), {
      countMax: alternativesMax,
      check(request, place) {
        validateLabelName(request.name, place.child("name"));
        validateDevices(request, place);
      },
      key: (request) => request.name ?? "",
    });
  }
}

function validateDevices(request: ExactDeviceRequest | DeviceSubRequest, at: Place): void {
  const { deviceClassName = "", selectors, allocationMode = "", count = 0, tolerations } = request;
  if (deviceClassName === "") at.child("deviceClassName").required();
  else at.child("deviceClassName").invalidEach(deviceClassName, isDns1123Subdomain(deviceClassName));
  validateSelectors(selectors, at.child("selectors"));
  validateMode(allocationMode, count, at);
  tolerations?.forEach((toleration, i) => {
    validateToleration(toleration, at.child("tolerations").index(i));
  });
}

function validateMode(mode: string, count: number, at: Place): void {
  if (mode === "All") {
    if (count !== 0) at.child("count").invalid(count, "must not be specified when allocationMode is 'All'");
  } else if (mode === "ExactCount") {
    if (count <= 0) at.child("count").invalid(count, "must be greater than zero");
  } else at.child("allocationMode").notSupported(mode, ["All", "ExactCount"]);
}

/** `loadCel` comes first if there are any. `stored`: they were accepted before. */
export function validateSelectors(
  selectors: readonly DeviceSelector[] | undefined,
  at: Place,
  { stored = false } = {},
): void {
  validateList(selectors, at, {
    countMax: selectorsMax,
    check({ cel }, place) {
      const expressionAt = place.child("cel").child("expression");
      if (!cel) place.child("cel").required();
      else if (longerThan(cel.expression ?? "", expressionBytesMax)) expressionAt.tooLong(expressionBytesMax);
      else validateDeviceExpression(cel.expression ?? "", expressionAt, !stored);
    },
  });
}

/** Whatever `validateRequest` needs for the requests of a claim; a promise only if there is something to wait for. */
export function prepareSelectors(claim: DeviceClaim | undefined): Promise<void> | undefined {
  const all = (claim?.requests ?? []).flatMap(({ exactly, firstAvailable = [] }) => [exactly, ...firstAvailable]);
  return all.some((each) => each?.selectors?.length) ? loadCel() : undefined;
}
