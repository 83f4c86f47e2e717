/** MutatingWebhookConfiguration: who may change an object before it is stored. Follows upstream's registry/admissionregistration. */
import { ageColumn } from "../columns.ts";
import { defineKind } from "../kind.ts";
import { firstGeneration } from "../strategy.ts";
import type { MutatingWebhookConfiguration } from "../types.d.ts";
import { staticNameWarnings } from "./static-name.ts";
import { defaultWebhooks, prepareChangedWebhooks, validateWebhooks, validateWebhooksUpdate } from "./webhooks.ts";

export const mutatingWebhookConfigurationKind = defineKind<MutatingWebhookConfiguration>({
  group: "admissionregistration.k8s.io",
  kind: "MutatingWebhookConfiguration",
  resource: "mutatingwebhookconfigurations",
  storageVersion: "v1",
  allowUnconditionalUpdate: false,

  defaults(configuration) {
    defaultWebhooks(configuration);
    for (const hook of configuration.webhooks ?? []) hook.reinvocationPolicy ??= "Never";
  },
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
