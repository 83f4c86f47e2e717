/** PodTemplate: a template on its own. Nothing in a cluster uses it. Follows upstream's registry/core/podtemplate. */
import type { FieldError } from "#machinery";
import { containerImages, containerNames, printLabels } from "../columns.ts";
import { semanticEqual } from "../equality.ts";
import { defineKind } from "../kind.ts";
import { Place } from "../place.ts";
import { defaultPodTemplate } from "../pod-spec/defaults.ts";
import { validatePodTemplateSpec } from "../pod-spec/template.ts";
import { templateWarnings } from "../pod-spec/warnings.ts";
import { firstGeneration } from "../strategy.ts";
import type { PodTemplate } from "../types.d.ts";

function validatePodTemplate({ template }: PodTemplate, old?: PodTemplate): FieldError[] {
  const at = Place.root("template");
  validatePodTemplateSpec(template ?? {}, at, old?.template);
  return at.errors;
}

export const podTemplateKind = defineKind<PodTemplate>({
  group: "",
  kind: "PodTemplate",
  resource: "podtemplates",
  storageVersion: "v1",

  defaults(object) {
    object.template ??= {};
    defaultPodTemplate(object.template);
  },
  prepareForCreate: firstGeneration,
  prepareForUpdate(object, old) {
    if (semanticEqual(object.template, old.template)) return;
    object.metadata.generation = (old.metadata.generation ?? 0) + 1;
  },
  validate: (object) => validatePodTemplate(object),
  validateUpdate: (object, old) => validatePodTemplate(object, old),
  warningsOnCreate: ({ template }) => templateWarnings(template, "template"),
  warningsOnUpdate: ({ metadata, template }, old) =>
    metadata.generation === old.metadata.generation ? [] : templateWarnings(template, "template"),

  columns: [
    {
      name: "Containers",
      type: "string",
      description: "Names of each container in the template.",
      of: ({ template }) => containerNames(template?.spec?.containers),
    },
    {
      name: "Images",
      type: "string",
      description: "Images referenced by each container in the template.",
      of: ({ template }) => containerImages(template?.spec?.containers),
    },
    {
      name: "Pod Labels",
      type: "string",
      description: "The labels for the pod template.",
      of: ({ template }) => printLabels(template?.metadata?.labels),
    },
  ],
});
