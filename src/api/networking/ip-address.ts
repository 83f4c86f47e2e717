/** IPAddress: a service's address that is taken. Follows upstream's registry/networking/ipaddress. */
import { type FieldError, goQuote, isDns1123Subdomain, nameIsPathSegment, validateImmutable } from "#machinery";
import { none } from "../columns.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import { validateCanonicalIp } from "../strict-ip.ts";
import type { IPAddress } from "../types.d.ts";

function validateAddress({ spec }: IPAddress): FieldError[] {
  const at = Place.root("spec").child("parentRef");
  const parent = spec?.parentRef;
  if (!parent) {
    at.required();
    return at.errors;
  }
  const { group = "", resource = "", name = "", namespace = "" } = parent;
  if (group !== "") at.child("group").invalidEach(group, isDns1123Subdomain(group));
  if (resource === "") at.child("resource").required();
  else at.child("resource").invalidEach(resource, nameIsPathSegment(resource, false));
  if (name === "") at.child("name").required();
  else at.child("name").invalidEach(name, nameIsPathSegment(name, false));
  if (namespace !== "") at.child("namespace").invalidEach(namespace, nameIsPathSegment(namespace, false));
  return at.errors;
}

/** What the name's own check adds in front. */
const head = (name: string): string => `Invalid value: ${goQuote(name)}: `;

function validateName(name: string): string[] {
  const at = Place.root("name");
  validateCanonicalIp(name, at);
  return at.errors.map(({ message }) => message.slice(head(name).length));
}

/** Messages show the internal type. */
function asUpstream(spec: IPAddress["spec"]) {
  const { group = "", resource = "", namespace = "", name = "" } = spec?.parentRef ?? {};
  return { Group: group, Resource: resource, Namespace: namespace, Name: name };
}

/** `services/default/kubernetes`. */
function printParent({ spec }: IPAddress): string {
  const parent = spec?.parentRef;
  if (!parent) return none;
  const { group = "", resource, namespace = "", name } = parent;
  const type = (group === "" ? resource : `${resource}.${group}`).toLowerCase();
  return [type, ...(namespace === "" ? [] : [namespace]), name].join("/");
}

export const ipAddressKind = defineKind<IPAddress>({
  group: "networking.k8s.io",
  kind: "IPAddress",
  resource: "ipaddresses",
  storageVersion: "v1",
  validateName,

  validate: validateAddress,
  validateUpdate: ({ spec }, old) =>
    validateImmutable(asUpstream(spec), asUpstream(old.spec), Place.root("spec").child("parentRef").path),

  // Upstream has no column for the age.
  columns: [
    {
      name: "ParentRef",
      type: "string",
      description:
        "ParentRef references the resource that an IPAddress is attached to. An IPAddress must reference a parent object.",
      of: printParent,
    },
  ],
});
