/**
 * Namespace: a scope of names. It goes when its contents are gone, which its controller says by removing the finalizer of the spec.
 * Follows upstream's registry/core/namespace strategies.
 */
import { type FieldError, isQualifiedName, nameIsDnsLabel } from "#machinery";
import { ageColumn } from "../columns.ts";
import { defineKind, type Strategy } from "../kind.ts";
import { Place } from "../place.ts";
import { setOrDelete } from "../strategy.ts";
import type { Namespace } from "../types.d.ts";

const nameLabel = "kubernetes.io/metadata.name";
/** Of the controller that empties the namespace. */
const contentsFinalizer = "kubernetes";
const standardFinalizers = [contentsFinalizer, "orphan", "foregroundDeletion"];

/** A label that selectors of namespaces can rely on. */
function labelWithName({ metadata }: Namespace): void {
  if (metadata.name) metadata.labels = { ...metadata.labels, [nameLabel]: metadata.name };
}

function validateFinalizer(name: string, at: Place): void {
  at.invalidEach(name, isQualifiedName(name));
  if (name.includes("/") || standardFinalizers.includes(name)) return;
  at.invalid(name, "name is neither a standard finalizer name nor is it fully qualified");
}

function validateNamespace({ spec }: Namespace): FieldError[] {
  const at = Place.root("spec").child("finalizers");
  for (const name of spec?.finalizers ?? []) validateFinalizer(name, at);
  return at.errors;
}

const statusStrategy: Strategy<Namespace> = {
  resetFields: ["spec"],
  prepareForUpdate(namespace, old) {
    setOrDelete(namespace, { spec: old.spec });
  },
  validateUpdate({ metadata, status }) {
    const at = Place.root("status").child("Phase");
    const phase = status?.phase ?? "";
    if (!metadata.deletionTimestamp) {
      if (phase !== "Active") at.invalid(phase, "may only be 'Active' if `deletionTimestamp` is empty");
    } else if (phase !== "Terminating") {
      at.invalid(phase, "may only be 'Terminating' if `deletionTimestamp` is not empty");
    }
    return at.errors;
  },
};

const finalizeStrategy: Strategy<Namespace> = {
  resetFields: ["status"],
  prepareForUpdate(namespace, old) {
    setOrDelete(namespace, { status: old.status });
  },
  validateUpdate({ spec }) {
    const at = Place.root("spec").child("finalizers");
    spec?.finalizers?.forEach((name, i) => {
      validateFinalizer(name, at.index(i));
    });
    return at.errors;
  },
};

export const namespaceKind = defineKind<Namespace>({
  group: "",
  kind: "Namespace",
  resource: "namespaces",
  storageVersion: "v1",
  resetFields: ["status"],
  validateName: (name, prefix) => [...nameIsDnsLabel(name, prefix)],

  defaults(namespace) {
    labelWithName(namespace);
    namespace.status = { ...namespace.status, phase: namespace.status?.phase || "Active" };
  },
  prepareForCreate(namespace) {
    namespace.status = { phase: "Active" };
    const { finalizers = [] } = namespace.spec ?? {};
    const isComplete = finalizers.includes(contentsFinalizer);
    namespace.spec = { ...namespace.spec, finalizers: isComplete ? finalizers : [...finalizers, contentsFinalizer] };
  },
  prepareForUpdate(namespace, old) {
    namespace.spec ??= {};
    setOrDelete(namespace.spec, { finalizers: old.spec?.finalizers });
    setOrDelete(namespace, { status: old.status });
  },
  validate(namespace) {
    // A generated name is known only now.
    labelWithName(namespace);
    return validateNamespace(namespace);
  },
  validateUpdate: validateNamespace,

  subresources: { status: statusStrategy, finalize: finalizeStrategy },

  selectableFieldNames: ["status.phase"],
  selectableFields: ({ status }) => ({ "status.phase": status?.phase ?? "" }),
  // Upstream lists the fields of this kind, and forgot this one.
  selectableField: (field) => (field === "metadata.namespace" ? undefined : field),
  unknownField: (field) => `field label not supported: ${field}`,
  columns: [
    {
      name: "Status",
      type: "string",
      description: "The status of the namespace",
      of: ({ status }) => status?.phase ?? "",
    },
    ageColumn,
  ],
});
