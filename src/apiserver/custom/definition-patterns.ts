/**
 * Not a rule: the step before a definition is validated that may wait. Validation compiles the patterns of its schemas, with an engine
 * that is loaded when the first one comes along.
 */
import { type CustomResourceDefinition, loadEngines } from "#api";
import type { DeepReadonly } from "#machinery";
import type { AdmissionPlugin } from "../admission/chain.ts";

export const definitionPatterns: AdmissionPlugin = {
  name: "CustomResourceDefinitionPatterns",
  handles: ({ resource, operation }) =>
    resource.group === "apiextensions.k8s.io" &&
    resource.resource === "customresourcedefinitions" &&
    operation !== "DELETE",
  async mutate({ object, old }) {
    for (const each of [object, old] as readonly (DeepReadonly<CustomResourceDefinition> | undefined)[]) // of that kind
      for (const { schema } of each?.spec?.versions ?? []) {
        const loading = loadEngines(schema?.openAPIV3Schema);
        if (loading) await loading;
      }
  },
};
