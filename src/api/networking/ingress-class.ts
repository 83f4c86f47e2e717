/** IngressClass: which controller answers for an ingress. Follows upstream's registry/networking/ingressclass. */
import { type FieldError, isDns1123Label, longerThan, validateImmutable } from "#machinery";
import { ageColumn, none } from "../columns.ts";
import { defineKind } from "../kind.ts";
import { validateDomainPath } from "../domain-path.ts";
import { Place } from "../place.ts";
import { specOf } from "../spec-of.ts";
import { bumpGeneration, firstGeneration } from "../strategy.ts";
import type { IngressClass, IngressClassParametersReference } from "../types.d.ts";
import { validateLocalReference } from "./ingress/backend.ts";

const controllerBytesMax = 250;
const scopes = ["Cluster", "Namespace"];

function validateClass(ingressClass: IngressClass, errors: FieldError[] = []): FieldError[] {
  const at = Place.root("spec", errors);
  const { controller = "", parameters } = specOf(ingressClass);
  const controllerAt = at.child("controller");
  if (longerThan(controller, controllerBytesMax)) controllerAt.tooLong(controllerBytesMax);
  validateDomainPath(controller, controllerAt);
  if (parameters) validateParameters(parameters, at.child("parameters"));
  return errors;
}

function validateParameters(parameters: IngressClassParametersReference, at: Place): void {
  validateLocalReference(parameters, at);
  const { scope, namespace } = parameters;
  const namespaceAt = at.child("namespace");
  if (scope === undefined || scope === null) at.child("scope").required();
  else if (!scopes.includes(scope)) at.child("scope").notSupported(scope, scopes);
  else if (scope === "Cluster") {
    if (namespace !== undefined) namespaceAt.forbidden("`parameters.scope` is set to 'Cluster'");
  } else if (namespace === undefined) namespaceAt.required("`parameters.scope` is set to 'Namespace'");
  else namespaceAt.invalidEach(namespace, isDns1123Label(namespace));
}

function printParameters({ spec }: IngressClass): string {
  if (!spec?.parameters) return none;
  const { kind, name, apiGroup } = spec.parameters;
  return `${apiGroup === undefined ? kind : `${kind}.${apiGroup}`}/${name}`;
}

export const ingressClassKind = defineKind<IngressClass>({
  group: "networking.k8s.io",
  kind: "IngressClass",
  resource: "ingressclasses",
  storageVersion: "v1",

  defaults(ingressClass) {
    ingressClass.spec = specOf(ingressClass);
    if (ingressClass.spec.parameters) ingressClass.spec.parameters.scope ??= "Cluster";
  },
  prepareForCreate: firstGeneration,
  prepareForUpdate: bumpGeneration,
  validate: (ingressClass) => validateClass(ingressClass),
  validateUpdate(ingressClass, old) {
    const path = Place.root("spec").child("controller").path;
    return validateClass(ingressClass, validateImmutable(ingressClass.spec?.controller, old.spec?.controller, path));
  },

  columns: [
    {
      name: "Controller",
      type: "string",
      description: "Controller that is responsible for handling this class",
      of: ({ spec }) => spec?.controller ?? "",
    },
    {
      name: "Parameters",
      type: "string",
      description: "A reference to a resource with additional parameters",
      of: printParameters,
    },
    ageColumn,
  ],
});
