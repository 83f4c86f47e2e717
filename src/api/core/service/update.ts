/** What may change in a service: addresses and families stay, except from and to the type without any. */
import type { FieldError } from "#machinery";
import { Place } from "../../place.ts";
import type { Service, ServiceSpec } from "../../types.d.ts";
import { isHeadless, needsHealthCheckPort, specOf } from "./rules.ts";
import { validateService } from "./validate.ts";

export function validateServiceUpdate(service: Service, old: Service): FieldError[] {
  const errors: FieldError[] = [];
  const at = Place.root("spec", errors);
  const spec = specOf(service);
  const before = specOf(old);
  if (spec.type !== "ExternalName" && before.type !== "ExternalName") {
    validateAddressChange(spec, before, at);
    validateFamilyChange(spec, before, at);
  }
  if (spec.type === "LoadBalancer" && before.type === "LoadBalancer") {
    if (spec.loadBalancerClass !== before.loadBalancerClass) {
      at.child("loadBalancerClass").invalid(spec.loadBalancerClass, "may not change once set");
    }
  }
  if (needsHealthCheckPort(before) && needsHealthCheckPort(spec)) {
    // A missing one was kept, so this is another one.
    if (spec.healthCheckNodePort !== before.healthCheckNodePort) {
      at.child("healthCheckNodePort").forbidden("field is immutable");
    }
  }
  return validateService(service, errors);
}

const unchanging = "may not change once set";

function validateAddressChange(spec: ServiceSpec, old: ServiceSpec, at: Place): void {
  if (isHeadless(spec) && isHeadless(old)) return;
  const now = spec.clusterIPs ?? [];
  const before = old.clusterIPs ?? [];
  const list = at.child("clusterIPs");
  if (now.length === before.length) {
    before.forEach((address, i) => {
      if (address !== now[i]) list.index(i).invalid(now, unchanging);
    });
    return;
  }
  if (now.length === 0) list.index(0).invalid(now, "primary clusterIP can not be unset");
  if (before.length > 0 && now.length > 0 && now[0] !== before[0]) list.index(0).invalid(now, unchanging);
  if (now.length < before.length && now.length === 1 && spec.ipFamilyPolicy !== "SingleStack") {
    const why = "must be set to 'SingleStack' when releasing the secondary clusterIP";
    at.child("ipFamilyPolicy").invalid(spec.ipFamilyPolicy, why);
  }
}

function validateFamilyChange(spec: ServiceSpec, old: ServiceSpec, at: Place): void {
  if (isHeadless(spec) || isHeadless(old)) return;
  const now = spec.ipFamilies ?? [];
  const before = old.ipFamilies ?? [];
  const place = at.child("ipFamilies").index(0);
  if (now.length === before.length) {
    before.forEach((family, i) => {
      if (family !== now[i]) place.invalid(now, unchanging);
    });
    return;
  }
  if (now.length < before.length && !spec.clusterIPs?.length) {
    place.invalid(now, "primary ipFamily can not be unset");
  }
  if (before.length > 0 && now.length > 0 && now[0] !== before[0]) place.invalid(spec.clusterIPs, unchanging);
  if (now.length < before.length && now.length === 1 && spec.ipFamilyPolicy !== "SingleStack") {
    const why = "must be set to 'SingleStack' when releasing the secondary ipFamily";
    at.child("ipFamilyPolicy").invalid(spec.ipFamilyPolicy, why);
  }
}
