/** ValidatingWebhookConfiguration: who is asked whether a request may pass. Follows upstream's registry/admissionregistration. */
import { ageColumn } from "../columns.ts";
import { defineKind } from "../kind.ts";
import { firstGeneration } from "../strategy.ts";
import type { ValidatingWebhookConfiguration } from "../types.d.ts";
import { staticNameWarnings } from "./static-name.ts";
import { defaultWebhooks, prepareChangedWebhooks, validateWebhooks, validateWebhooksUpdate } from "./webhooks.ts";

export const validatingWebhookConfigurationKind = defineKind<ValidatingWebhookConfiguration>({
  group: "admissionregistration.k8s.io",
  kind: "ValidatingWebhookConfiguration",
  resource: "validatingwebhookconfigurations",
  storageVersion: "v1",
  allowUnconditionalUpdate: false,

  defaults: defaultWebhooks,
  prepareForCreate: firstGeneration,
  prepareForUpdate: prepareChangedWebhooks,
  validate: (configuration) => validateWebhooks(configuration),
  validateUpdate: validateWebhooksUpdate,
  warningsOnCreate: staticNameWarnings,
  warningsOnUpdate: staticNameWarnings,

  columns: [
    {
      name: "Webhooks",
      type: "integer",
      description: "Webhooks indicates the number of webhooks registered in this configuration",
      of: ({ webhooks = [] }) => webhooks.length,
    },
    ageColumn,
  ],
});
