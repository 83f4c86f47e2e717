/** The wide columns of kinds that make pods from a template. */
import { containerImages, containerNames } from "../columns.ts";
import type { Column } from "../kind.ts";
import type { PodTemplateSpec } from "../types.d.ts";

export function templateColumns<T>(templateOf: (object: T) => PodTemplateSpec | undefined): Column<T>[] {
  const containersOf = (object: T) => templateOf(object)?.spec?.containers;
  return [
    {
      name: "Containers",
      type: "string",
      priority: 1,
      description: "Names of each container in the template.",
      of: (object) => containerNames(containersOf(object)),
    },
    {
      name: "Images",
      type: "string",
      priority: 1,
      description: "Images referenced by each container in the template.",
      of: (object) => containerImages(containersOf(object)),
    },
  ];
}
