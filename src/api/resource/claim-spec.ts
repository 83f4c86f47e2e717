/** What a claim asks for: of claims, and of their templates. */
import type { Place } from "../place.ts";
import type { DeviceClaim, DeviceConstraint, ResourceClaimSpec } from "../types.d.ts";
import { configurationsMax, validateConfiguration } from "./configuration.ts";
import { validateList, validateSet } from "./lists.ts";
import { validateFullyQualifiedName, validateLabelName } from "./names.ts";
import { defaultRequest, validateRequest } from "./requests.ts";

const requestsMax = 32;
const constraintsMax = 32;

export function defaultClaimSpec(spec: ResourceClaimSpec | undefined): void {
  spec?.devices?.requests?.forEach(defaultRequest);
}

export function validateClaimSpec({ devices = {} }: ResourceClaimSpec, at: Place): void {
  const place = at.child("devices");
  const names = requestNames(devices);
  validateSet(devices.requests, place.child("requests"), {
    countMax: requestsMax,
    check: validateRequest,
    key: ({ name }) => name ?? "",
  });
  validateList(devices.constraints, place.child("constraints"), {
    countMax: constraintsMax,
    check(constraint, each) {
      validateConstraint(constraint, each, names);
    },
  });
  validateList(devices.config, place.child("config"), {
    countMax: configurationsMax,
    check(config, each) {
      validateNamedRequests(config.requests, each.child("requests"), names);
      validateConfiguration(config, each);
    },
  });
}

/** How the requests of a claim may be named, alternatives as `request/alternative`. */
export function requestNames(claim: DeviceClaim | undefined): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { name, firstAvailable } of claim?.requests ?? []) {
    names.add(name);
    for (const alternative of firstAvailable ?? []) names.add(`${name}/${alternative.name}`);
  }
  return names;
}

function validateConstraint(constraint: DeviceConstraint, at: Place, names: ReadonlySet<string>): void {
  const { requests, matchAttribute, distinctAttribute } = constraint;
  validateNamedRequests(requests, at.child("requests"), names);
  if (matchAttribute !== undefined) validateFullyQualifiedName(matchAttribute, at.child("matchAttribute"));
  else if (distinctAttribute !== undefined) {
    validateFullyQualifiedName(distinctAttribute, at.child("distinctAttribute"));
  } else {
    // Upstream's words, though none is set.
    const detail = 'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set';
    at.required(detail);
  }
}

export function validateNamedRequests(
  requests: readonly string[] | undefined,
  at: Place,
  names: ReadonlySet<string>,
): void {
  validateSet(requests, at, {
    countMax: requestsMax,
    check(name, each) {
      validateNamedRequest(name, each, names);
    },
    key: (name) => name,
  });
}

export function validateNamedRequest(name: string, at: Place, names: ReadonlySet<string>): void {
  const parts = name.split("/");
  if (parts.length <= 2) for (const part of parts) validateLabelName(part, at);
  if (parts.length > 2 || !names.has(name)) {
    const detail =
      "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
    at.invalid(name, detail);
  }
}
