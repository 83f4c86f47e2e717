/** Binding: a pod gets its node. Never stored; the API server writes the pod. */
import type { FieldError } from "#machinery";
import { Place } from "../place.ts";
import type { Binding } from "../types.d.ts";

export function validateBinding({ target }: Pick<Binding, "target">): FieldError[] {
  const at = Place.root("target");
  if (target.kind && target.kind !== "Node") at.child("kind").notSupported(target.kind, ["Node", "<empty>"]);
  if (!target.name) at.child("name").required();
  return at.errors;
}
