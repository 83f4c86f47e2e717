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

  columns: [
    {
      name: "Secrets",
      type: "string",
      description:
        'Secrets is a list of the secrets in the same namespace that pods running using this ServiceAccount are allowed to use. Pods are only limited to this list if this service account has a "kubernetes.io/enforce-mountable-secrets" annotation set to "true". The "kubernetes.io/enforce-mountable-secrets" annotation is deprecated since v1.32. Prefer separate namespaces to isolate access to mounted secrets. This field should not be used to find auto-generated service account token secrets for use outside of pods. Instead, tokens can be requested directly using the TokenRequest API, or service account token secrets can be manually created. More info: https://kubernetes.io/docs/concepts/configuration/secret',
      of: ({ secrets = [] }) => secrets.length,
    },
    ageColumn,
  ],
});
