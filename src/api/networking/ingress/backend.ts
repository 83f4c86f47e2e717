/** Where an ingress sends requests: a service, or another object in its namespace that its controller knows. */
import { isDns1123Label, isDns1123Subdomain, isPortName, isPortNumber, nameIsPathSegment } from "#machinery";
import type { Place } from "../../place.ts";
import type { IngressBackend, IngressServiceBackend, TypedLocalObjectReference } from "../../types.d.ts";

export function validateBackend({ service, resource }: IngressBackend, at: Place): void {
  if (resource && service) at.invalid("", "cannot set both resource and service backends");
  else if (resource) validateLocalReference(resource, at.child("resource"));
  else if (service) validateService(service, at);
  else at.invalid("", "resource or service backend is required");
}

function validateService({ name = "", port }: IngressServiceBackend, at: Place): void {
  const place = at.child("service");
  if (name === "") place.child("name").required();
  else place.child("name").invalidEach(name, isDns1123Label(name));
  const { name: portName = "", number = 0 } = port ?? {};
  const portAt = place.child("port");
  if (portName !== "" && number !== 0) at.invalid("", "cannot set both port name & port number");
  else if (portName !== "") portAt.child("name").invalidEach(portName, isPortName(portName));
  else if (number !== 0) portAt.child("number").invalidEach(number, isPortNumber(number));
  else at.required("port name or number is required");
}

/** Of backends and of the parameters of classes. */
export function validateLocalReference({ apiGroup, kind = "", name = "" }: TypedLocalObjectReference, at: Place): void {
  if (typeof apiGroup === "string") at.child("apiGroup").invalidEach(apiGroup, isDns1123Subdomain(apiGroup));
  if (kind === "") at.child("kind").required();
  else at.child("kind").invalidEach(kind, nameIsPathSegment(kind, false));
  if (name === "") at.child("name").required();
  else at.child("name").invalidEach(name, nameIsPathSegment(name, false));
}
