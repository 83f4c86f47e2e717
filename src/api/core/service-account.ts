/** ServiceAccount: who a pod is. Follows upstream's registry/core/serviceaccount; tokens are the API server's. */
import { ageColumn } from "../columns.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import type { ServiceAccount } from "../types.d.ts";

const mountableAnnotation = "kubernetes.io/enforce-mountable-secrets";

/** Of a reference to a secret only the name counts. */
function keepNames(account: ServiceAccount): void {
  if (account.secrets) account.secrets = account.secrets.map(({ name }) => (name ? { name } : {}));
}

function deprecationWarnings({ metadata }: ServiceAccount, old?: ServiceAccount): string[] {
  if (metadata.annotations?.[mountableAnnotation] === undefined) return [];
  if (old?.metadata.annotations?.[mountableAnnotation] !== undefined) return [];
  const at = Place.root("metadata").child("annotations").key(mountableAnnotation);
  return [`${at}: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets`];
}

export const serviceAccountKind = defineKind<ServiceAccount>({
  group: "",
  kind: "ServiceAccount",
  resource: "serviceaccounts",
  storageVersion: "v1",

  prepareForCreate: keepNames,
  prepareForUpdate: keepNames,
  // Nothing beside the metadata is checked.
  validate: () => [],
  validateUpdate: () => [],
  warningsOnCreate: (account) => deprecationWarnings(account),
  warningsOnUpdate: (account, old) => deprecationWarnings(account, old),

  columns: [ageColumn],
});
