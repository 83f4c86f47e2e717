/** Between the versions of a custom kind: by changing `apiVersion` alone, or by asking a webhook. Follows apiserver/conversion. */
import type { CustomResourceDefinition } from "#api";
import type { DeepReadonly } from "#machinery";
import { plainError } from "../registry/errors.ts";
import type { Converter } from "./converter.ts";
import { type ConversionWebhooks, webhookConverter } from "./conversion-webhook.ts";

export function converterOf({ spec }: DeepReadonly<CustomResourceDefinition>, webhooks: ConversionWebhooks): Converter {
  const known = new Set(spec.versions.map(({ name }) => `${spec.group}/${name}`));
  const { strategy, webhook } = spec.conversion ?? {};
  const convert = strategy === "Webhook" && webhook ? webhookConverter(webhook, webhooks) : renamed;
  return (objects, apiVersion) => {
    for (const { apiVersion: from = "" } of objects)
      if (!known.has(from)) throw plainError(`request to convert CR from an invalid group/version: ${from}`);
    return convert(objects, apiVersion);
  };
}

const renamed: Converter = (objects, apiVersion) => {
  for (const object of objects) object.apiVersion = apiVersion;
  return objects;
};
